/// A message that has its bytes: one that came with a notification.
struct OwnMessage {
  /// Nil: ephemeral.
  var id: Int64?
  var data: [UInt8]
  var event: [UInt8]?
  var visibleTo: [UInt8]?
  var exclude: [UInt8]?

  /// Lends its bytes for the call.
  func lend(_ body: (Message) -> Void) {
    data.withUnsafeBytes { data in
      OwnMessage.lend(event) { event in
        OwnMessage.lend(visibleTo) { visibleTo in
          OwnMessage.lend(exclude) { exclude in
            body(
              Message(id: id, data: data, event: event, visibleTo: visibleTo, exclude: exclude))
          }
        }
      }
    }
  }

  private static func lend(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
    if let bytes { bytes.withUnsafeBytes { body($0) } } else { body(nil) }
  }
}
