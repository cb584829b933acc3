/// Ids that were passed over while transactions were open that may have taken them. What comes of
/// them after all goes to those who are connected, as frames without an `id:`.
struct LateHoles {
  /// The ids, in order; each range lies above the one before.
  private(set) var ranges: [ClosedRange<Int64>] = []
  /// Those who may have taken them.
  private(set) var holders: [CommitOrder.Holder]
  /// When the store was asked last, in milliseconds of the monotonic clock; since when it waits.
  private(set) var askedMs: Int64
  let sinceMs: Int64

  /// How many ranges are kept: beyond that the lowest are forgotten.
  static let maximumRanges = 64
  /// The store is asked no more often than that, and no less often than after the longest pause.
  static let shortestPauseMs: Int64 = 250
  static let longestPauseMs: Int64 = 5_000

  init(holders: [CommitOrder.Holder], nowMs: Int64) {
    self.holders = holders
    askedMs = nowMs
    sinceMs = nowMs
  }

  /// When to ask again, though nothing woke the stream.
  var nextAskMs: Int64 {
    let pause = (askedMs - sinceMs) / CommitOrder.patienceShare
    return askedMs + min(max(pause, LateHoles.shortestPauseMs), LateHoles.longestPauseMs)
  }

  /// More transactions were waited for in vain.
  mutating func add(holders more: [CommitOrder.Holder]) {
    holders += more.filter { !holders.contains($0) }
  }

  /// These ids were passed over. Returns whether an older range had to be forgotten for them.
  mutating func add(_ range: ClosedRange<Int64>) -> Bool {
    ranges.append(range)
    return dropSurplus()
  }

  private mutating func dropSurplus() -> Bool {
    guard ranges.count > LateHoles.maximumRanges else { return false }
    ranges.removeFirst()
    return true
  }

  /// `current` are all who hold the lock now; those who are left may still fill a hole.
  mutating func holdersFound(_ current: [CommitOrder.Holder], askedMs: Int64) {
    self.askedMs = askedMs
    holders = current.filter { holders.contains($0) || $0.hasPrefix("-1/") }
  }

  /// `id` has come; false if it was not missing.
  mutating func remove(_ id: Int64) -> Bool {
    guard let index = ranges.firstIndex(where: { $0.contains(id) }) else { return false }
    let range = ranges.remove(at: index)
    if id < range.upperBound { ranges.insert((id + 1)...range.upperBound, at: index) }
    if id > range.lowerBound { ranges.insert(range.lowerBound...(id - 1), at: index) }
    _ = dropSurplus()
    return true
  }
}
