/// An open transaction: what it holds and what becomes visible with it.
final class SimulatedTransaction {
  /// As `pg_locks` shows it; another after it was prepared.
  var name: String
  let startedMs: Int64
  /// The sequences whose lock it holds, and since when.
  private(set) var locks: [(relation: Int64, sinceMs: Int64)] = []
  var records: [MessageRecord] = []
  /// What it publishes to native streams, which gets its ids at the commit.
  var outbox: [MessageRecord] = []
  var notifications: [SimulatedPostgres.Notification] = []
  /// It has committed, and everybody sees it, but its locks are not let go yet.
  var isVisible = false

  init(name: String, nowMs: Int64) {
    self.name = name
    startedMs = nowMs
  }

  var isPrepared: Bool { name.hasPrefix("-1/") }

  /// `nextval` locks first, and to the end of the transaction.
  func lock(_ relation: Int64, nowMs: Int64) {
    if lockedMs(relation) == nil { locks.append((relation, nowMs)) }
  }

  func lockedMs(_ relation: Int64) -> Int64? {
    locks.first { $0.relation == relation }?.sinceMs
  }
}
