/// The SQL of Millstream's own schema.
enum NativeSchema {
  static let lookSQL = ""
  static let messagesSQL = ""
}
