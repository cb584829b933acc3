/// The questions about the streams of one request, and what was answered so far.
struct SetAuthorization {
  /// So many are open at once: other clients shall not wait behind all that one asks for.
  static let maximumOpen = 32

  private var set: SubscriptionSet
  private var refusals: [Int: Int] = [:]
  private var askedCount = 0
  private var answeredCount = 0

  init(_ set: SubscriptionSet) {
    self.set = set
  }

  /// The stream to ask about next, and its number; nil: none, until another was answered.
  mutating func next() -> (number: Int, subscription: Subscription)? {
    guard askedCount < set.subscriptions.count,
      askedCount - answeredCount < SetAuthorization.maximumOpen
    else { return nil }
    defer { askedCount += 1 }
    return (askedCount, set.subscriptions[askedCount])
  }

  /// The set without what was refused, once the last question was answered; nil: some are open.
  mutating func answered(_ number: Int, _ permission: Permission) -> SubscriptionSet? {
    answeredCount += 1
    switch permission {
    case .allow(let context):
      let token = set.subscriptions[number].context
      set.subscriptions[number].context = context?.ending(by: token?.expiresAt) ?? token
    case .forbid: refusals[number] = HTTPResponse.forbidden.status
    case .fault: refusals[number] = HTTPResponse.fault.status
    case .unavailable: refusals[number] = HTTPResponse.unavailable.status
    }
    guard answeredCount == set.subscriptions.count else { return nil }
    set.refuse(refusals)
    return set
  }
}
