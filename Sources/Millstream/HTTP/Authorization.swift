/// Asks whether a client may listen to a stream, whose name is in order. Answered from within the hook or
/// later; until then the client waits, no longer than the time for its request.
public final class AuthorizationQuestion {
  /// What the client asks for.
  public let stream: StreamIdentity
  /// Whether it asks for all native streams whose names fit the pattern that ``stream`` has for a name
  /// (`room:42:*`); see ``Endpoint/authorizesPatterns``.
  public let isPattern: Bool
  /// The request.
  public let request: EndpointRequest
  private weak var exchange: Exchange?
  private let subscription: Subscription
  /// Its number where several are asked for at once.
  private let number: Int?

  init(
    exchange: Exchange, subscription: Subscription, number: Int? = nil, request: EndpointRequest
  ) {
    self.exchange = exchange
    self.number = number
    self.subscription = subscription
    self.request = request
    isPattern = subscription.isPattern
    stream = StreamIdentity(store: subscription.store, name: subscription.name)
  }

  /// The stream's name as a header field can hold it: what is not visible ASCII, and `%`, is
  /// percent-encoded.
  package var streamField: String {
    String(decoding: PercentEncoding.encode(stream.name.utf8), as: UTF8.self)
  }

  /// Whether somebody waits for the answer.
  package var isOpen: Bool { exchange?.isAuthorizing ?? false }

  /// Whether this answer is not to be given to others: the client has gone, or something was closed meanwhile
  /// that it may not know of.
  package func isOvertaken(_ permission: Permission) -> Bool {
    guard let exchange else { return true }
    guard case .allow(let context) = permission else { return false }
    let member = context?.member ?? subscription.context?.member
    return exchange.isOvertaken(subscription, member: member)
  }

  /// Lets the client in, or does not. Only the first answer counts; false: the client has gone meanwhile,
  /// or has waited for too long.
  @discardableResult
  public func answer(_ permission: Permission) -> Bool {
    guard let exchange else { return false }
    self.exchange = nil
    let permission = permission.asOf(exchange.unixSeconds)
    if let number { return exchange.authorized(number, permission) }
    return exchange.authorized(subscription, permission)
  }
}

/// Decides, by an answer to the question, whether a client may listen.
public typealias AuthorizeHook = (AuthorizationQuestion) -> Void
