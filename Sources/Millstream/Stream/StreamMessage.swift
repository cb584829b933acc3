/// A message that has its bytes: one that came with a notification, or from the host.
public struct StreamMessage: Sendable {
  /// Its place in the stream, from 1; nil: ephemeral, kept nowhere.
  public var id: Int64?
  /// The payload, any text.
  public var data: [UInt8]
  var event: [UInt8]?
  var visibleTo: [UInt8]?
  var exclude: [UInt8]?

  init(
    id: Int64? = nil, data: [UInt8], event: [UInt8]?, visibleTo: [UInt8]?, exclude: [UInt8]?
  ) {
    self.id = id
    self.data = data
    self.event = event
    self.visibleTo = visibleTo
    self.exclude = exclude
  }

  /// A message with a payload of any text. `event` nil: `turbo-stream`; `visibleTo`: the label that a
  /// connection's context has to carry, nil: everybody; `exclude`: the connection that does not get it.
  public init(
    id: Int64? = nil, event: String? = nil, data: [UInt8], visibleTo: String? = nil,
    exclude: ConnectionID? = nil
  ) {
    self.init(
      id: id, data: data, event: event.map { Array($0.utf8) },
      visibleTo: visibleTo.map { Array($0.utf8) }, exclude: exclude.map { Array("\($0)".utf8) })
  }

  /// A copy of what is borrowed.
  init(_ message: Message) {
    self.init(
      id: message.id, data: Array(message.data), event: message.event.map { Array($0) },
      visibleTo: message.visibleTo.map { Array($0) }, exclude: message.exclude.map { Array($0) })
  }

  /// The name of the event; nil: `turbo-stream`.
  public var eventName: String? { event.map { String(decoding: $0, as: UTF8.self) } }

  /// The label that a connection's context has to carry; nil: everybody.
  public var label: String? { visibleTo.map { String(decoding: $0, as: UTF8.self) } }

  /// The connection that does not get it.
  public var excluded: ConnectionID? { exclude.flatMap { ConnectionID(text: $0) } }

  /// Lends its bytes for the call.
  func lend(_ body: (Message) -> Void) {
    data.withUnsafeBytes { data in
      StreamMessage.lend(event) { event in
        StreamMessage.lend(visibleTo) { visibleTo in
          StreamMessage.lend(exclude) { exclude in
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
