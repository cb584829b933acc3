/// Decides how far a stream may be delivered whose ids become visible out of order.
///
/// PGMQ takes an id from a sequence before the transaction commits, so a read can show an id above
/// one that is still to come: a hole. Whoever takes an id holds a lock on the sequence to the end of
/// its transaction. So when everyone who held it *after* a read that showed a hole has ended, what
/// the next read does not show never comes:
///
///     settled ─holeSeen─▶ holding ─holdersFound: none left──▶ settled: the next read says it all
///                            ▲ └──some are left──┘    └─for too long─▶ given up: others go on
///
/// It does no I/O. Times are milliseconds of the monotonic clock.
struct CommitOrder {
  /// Whoever holds a sequence's lock, as `pg_locks.virtualtransaction` names it.
  typealias Holder = String

  /// A hole that may still be filled.
  struct Hold: Equatable {
    /// The highest id of the read that showed it: everything missing below is in question.
    let through: Int64
    /// When it was known first who may fill it.
    fileprivate(set) var sinceMs: Int64
    fileprivate(set) var askedMs: Int64
    /// Those who may fill it; nil: nobody has asked yet.
    fileprivate(set) var holders: [Holder]?

    /// A transaction that is prepared changes its name: any such may be one of them.
    fileprivate func isInQuestion(_ holder: Holder) -> Bool {
      holders?.contains(holder) ?? true || holder.hasPrefix("-1/")
    }
  }

  enum Outcome: Equatable { case settled, waiting, givenUp }

  /// What is missing up to this id never comes, or has been given up.
  private(set) var settledThrough: Int64
  private(set) var hold: Hold?
  /// Those who have been waited for in vain: they hold nobody up any more.
  private(set) var givenUp: [Holder] = []
  /// Holes up to this id were passed because it took too long.
  private(set) var givenUpThrough: Int64 = 0

  /// A wait that has lasted for so long is asked after again when an eighth of that has passed.
  static let patienceShare: Int64 = 8
  /// The first pause, and the longest: nobody waits for longer to hear that a hole was filled.
  static let shortestPauseMs: Int64 = 2
  static let longestPauseMs: Int64 = 250

  init(settledThrough: Int64) {
    self.settledThrough = settledThrough
  }

  /// Of a store that gives ids out at the commit: what is missing was there and has gone.
  static let byID = CommitOrder(settledThrough: .max)

  /// Whether what is missing was there, as ids are given out at the commit.
  var isByID: Bool { settledThrough == .max }

  /// Whether a message with this id may follow the one with `tip`.
  func allows(_ id: Int64, after tip: Int64) -> Bool {
    id <= tip + 1 || id - 1 <= settledThrough
  }

  /// When the holders should be asked again; nil: nothing is held back.
  var nextAskMs: Int64? {
    guard let hold else { return nil }
    guard hold.holders != nil else { return hold.askedMs }
    let pause = (hold.askedMs - hold.sinceMs) / CommitOrder.patienceShare
    return hold.askedMs
      + min(max(pause, CommitOrder.shortestPauseMs), CommitOrder.longestPauseMs)
  }

  /// A read whose highest id is `through` has shown a hole below it.
  mutating func holeSeen(through: Int64, nowMs: Int64) {
    guard hold == nil else { return }
    hold = Hold(through: through, sinceMs: nowMs, askedMs: nowMs, holders: nil)
  }

  /// `current` are all who held the lock at some time between `askedMs` and `answeredMs`. Those who were not
  /// among them the first time, after the read that showed the hole, can only have taken higher ids. Nobody
  /// is given up who may have come less than `longestWaitMs` ago.
  mutating func holdersFound(
    _ current: [Holder], askedMs: Int64, answeredMs: Int64, longestWaitMs: Int64
  ) -> Outcome {
    givenUp.removeAll { !current.contains($0) }
    guard let held = hold else { return .settled }
    let holders = current.filter { !givenUp.contains($0) && held.isInQuestion($0) }
    let sinceMs = held.holders == nil ? answeredMs : held.sinceMs
    if !holders.isEmpty && max(askedMs - sinceMs, 0) < longestWaitMs {
      hold?.holders = holders
      hold?.sinceMs = sinceMs
      hold?.askedMs = askedMs
      return .waiting
    }
    hold = nil
    settledThrough = max(settledThrough, held.through)
    if holders.isEmpty { return .settled }
    givenUp += holders
    givenUpThrough = held.through
    return .givenUp
  }

  /// A read has given all that can be seen, and all of it could be taken: nothing is held back.
  mutating func allTaken() {
    hold = nil
  }

  /// The session is another, perhaps with another server: who holds the lock has to be asked anew.
  mutating func sessionChanged() {
    hold?.holders = nil
  }
}
