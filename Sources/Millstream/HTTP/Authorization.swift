/// Asks whether a client may listen to a stream, whose name is in order. Answered from within the hook or
/// later; until then the client waits, no longer than the time for its request.
public final class AuthorizationQuestion {
  /// What the client asks for.
  public let stream: StreamIdentity
  /// The request.
  public let request: EndpointRequest
  private weak var exchange: Exchange?
  private let subscription: Subscription

  init(exchange: Exchange, subscription: Subscription, request: EndpointRequest) {
    self.exchange = exchange
    self.subscription = subscription
    self.request = request
    stream = StreamIdentity(store: subscription.store, name: subscription.name)
  }

  /// Whether somebody waits for the answer.
  package var isOpen: Bool { exchange?.isAuthorizing ?? false }

  /// Lets the client in, or does not. Only the first answer counts; false: the client has gone meanwhile,
  /// or has waited for too long.
  @discardableResult
  public func answer(_ permission: Permission) -> Bool {
    guard let exchange else { return false }
    self.exchange = nil
    return exchange.authorized(subscription, permission)
  }
}

/// Whether a client may listen.
public enum Permission {
  /// It may; what is known of it goes with the connection, instead of what its token says (nil: that); of
  /// both ends the earlier counts.
  case allow(ConnectionContext? = nil)
  /// It may not: 403.
  case forbid
  /// That cannot be said: 500, and no more than that.
  case fault
  /// That cannot be said now: 503, and when to come again.
  case unavailable
}

/// Decides, by an answer to the question, whether a client may listen.
public typealias AuthorizeHook = (AuthorizationQuestion) -> Void
