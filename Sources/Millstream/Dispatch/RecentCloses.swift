/// What was closed lately. An answer to a question from before may be from before, too, and let somebody in for
/// whom the close came too early.
struct RecentCloses {
  enum Target: Hashable {
    /// By the bytes of the name: two that look the same are two.
    case member([UInt8])
    case stream(StoreKind, storageName: [UInt8])
  }

  /// How long they are remembered, in milliseconds: as long as a question can be open.
  var keptMs: Int64 = 0
  /// How many there have been, forgotten ones included.
  private(set) var count: UInt64 = 0

  /// The last of each: its number, from 1.
  private var numbers: [Target: UInt64] = [:]
  private var order = Deque<(target: Target, number: UInt64, ms: Int64)>()
  /// Up to this number they went before their time: any of them may have been meant.
  private var forgotten: UInt64 = 0
  static let maximumCount = 10_000

  mutating func add(_ target: Target, nowMs: Int64) {
    if keptMs == 0 { return }
    count += 1
    numbers[target] = count
    order.append((target, count, nowMs))
    while let oldest = order.first, nowMs - oldest.ms > keptMs { drop(oldest) }
    if order.count > RecentCloses.maximumCount, let oldest = order.first {
      drop(oldest)
      forgotten = oldest.number
    }
  }

  private mutating func drop(_ oldest: (target: Target, number: UInt64, ms: Int64)) {
    _ = order.popFirst()
    if numbers[oldest.target] == oldest.number { numbers[oldest.target] = nil }
  }

  /// Whether the stream, one that fits the pattern, or the member was closed since there had been `seen`.
  func hit(_ subscription: Subscription, member: String?, since seen: UInt64) -> Bool {
    if seen == count { return false }
    if seen < forgotten { return true }
    if let member, wasClosed(.member(Array(member.utf8)), since: seen) { return true }
    guard subscription.isPattern else {
      return wasClosed(
        .stream(subscription.store, storageName: subscription.storageName), since: seen)
    }
    let pattern = StreamPattern(subscription.name)
    return numbers.contains { target, number in
      guard number > seen, case .stream(subscription.store, let name) = target else { return false }
      return pattern.matches(name)
    }
  }

  private func wasClosed(_ target: Target, since seen: UInt64) -> Bool {
    numbers[target].map { $0 > seen } ?? false
  }
}
