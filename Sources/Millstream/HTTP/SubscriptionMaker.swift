/// Makes subscriptions for clients whose requests somebody else has read. It does no I/O.
public struct SubscriptionMaker: Sendable {
  /// What is not in order.
  public enum Fault: Error, Sendable {
    /// The store can have no stream of this name.
    case name
    /// The cursor is neither an id nor one with an epoch.
    case cursor
  }

  private let router: Router

  /// For the queues and the secrets of `configuration`.
  public init(_ configuration: EndpointConfiguration) {
    router = Router(configuration: configuration)
  }

  /// What an instance has to know. `cursor`: Last-Event-ID or `since` as it came, nil or blank: from now
  /// on; `hasHead`: whether the response's head is still to be sent, by the instance.
  ///
  /// - Throws: what is not in order.
  public func subscription(
    to stream: StreamIdentity, cursor: String? = nil, hasHead: Bool
  ) throws(Fault) -> Subscription {
    let request = CursorRequest(
      lastEventID: cursor.map { Array($0.utf8)[...] }, query: nil,
      allowsEpoch: stream.store != .pgmq)
    guard request != .invalid else { throw .cursor }
    let head = hasHead ? HTTPResponse.streamHead([]) : []
    guard StreamName.validated(Array(stream.name.utf8)) != nil,
      let subscription = router.subscription(to: stream, request, head: head)
    else { throw .name }
    return subscription
  }

  /// The name in a signed name; nil: it was signed with none of the secrets, or has expired.
  public func verify(_ signedName: String) -> String? {
    router.names.verify(Array(signedName.utf8), at: Clock.system.unixSeconds)
  }

  /// The name, signed with the first secret; nil without one, or if it is no name.
  public func sign(_ name: String) -> String? { router.names.sign(name) }
}
