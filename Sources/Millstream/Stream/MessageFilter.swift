/// What a filter makes of a message.
public enum FilterVerdict: Sendable {
  /// It goes out as it is.
  case keep
  /// Nobody gets it; its place in the order counts as delivered.
  case drop
  /// This goes out in its stead, under the same id.
  case replace(StreamMessage)
}

/// Looks at each message on its way to clients. It is asked again for those who are behind, and has to
/// give the same message the same verdict. It must not call back into the instance.
public struct MessageFilter {
  private let verdict: (StreamMessage, StreamIdentity) -> FilterVerdict

  /// A filter that asks `verdict`.
  public init(_ verdict: @escaping (StreamMessage, StreamIdentity) -> FilterVerdict) {
    self.verdict = verdict
  }

  /// Calls `body`, once, with what becomes of `message`.
  func pass(_ message: Message, of stream: Stream, _ body: (Message) -> Void) {
    switch verdict(StreamMessage(message), stream.publicIdentity) {
    case .keep: body(message)
    case .drop:
      let empty = UnsafeRawBufferPointer(start: nil, count: 0)
      body(Message(id: message.id, data: empty, isDropped: true))
    case .replace(var replacement):
      replacement.id = message.id
      replacement.lend(body)
    }
  }
}
