/// One message as a store or a notification gives it. The bytes are borrowed: they are valid during
/// the call that hands the message over, and are copied nowhere but into the frame.
struct Message {
  /// Its place in the stream, from 1; nil for an ephemeral broadcast, which was never stored.
  var id: Int64?
  /// The payload, any text.
  var data: UnsafeRawBufferPointer
  /// The name of the event; nil, blank, or with a line break in it: `turbo-stream`.
  var event: UnsafeRawBufferPointer?
  /// The label that a connection's context has to carry; nil: everybody.
  var visibleTo: UnsafeRawBufferPointer?
  /// The connection id, as text, of the one that does not get it.
  var exclude: UnsafeRawBufferPointer?
  /// A filter has decided that nobody gets it.
  var isDropped = false
}

/// Whom a frame is for.
struct Audience: Equatable {
  /// The label that the connection's context has to carry; nil: any connection.
  var visibleTo: String?
  /// The connection that does not get it.
  var excluded: ConnectionID?
  /// Nobody gets it.
  var isNobody: Bool

  /// Nil when the frame is for everyone.
  init?(of message: Message) {
    visibleTo = message.visibleTo.map { String(decoding: $0, as: UTF8.self) }
    excluded = message.exclude.flatMap { ConnectionID(text: $0) }
    isNobody = message.isDropped
    if visibleTo == nil && excluded == nil && !isNobody { return nil }
  }

  /// By the bytes of the label: two that look the same are two.
  static func == (left: Audience, right: Audience) -> Bool {
    left.excluded == right.excluded && left.isNobody == right.isNobody
      && left.visibleTo.map { Array($0.utf8) } == right.visibleTo.map { Array($0.utf8) }
  }
}
