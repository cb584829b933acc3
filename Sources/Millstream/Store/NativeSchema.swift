/// The SQL of Millstream's own schema.
package enum NativeSchema {
  package static let version = 1
  package static let sql = ""
  static let lookSQL = ""
  static let messagesSQL = ""
}
