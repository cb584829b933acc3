/// How full the queue is in which Postgres keeps notifications until every listener has read them; where
/// it is full, commits that notify fail.
final class QueueUsage {
  /// From 0 to 1; nil: not asked yet.
  private(set) var fraction: Double?
  private var nextMs: Int64 = 0
  private static let pauseMs: Int64 = 60_000

  /// Time has passed: asks once a minute.
  func tick(_ nowMs: Int64, _ session: PostgresSession) {
    guard nowMs >= nextMs, session.isReady else { return }
    nextMs = nowMs + QueueUsage.pauseMs
    session.submit(UsageQuery { [weak self] in self?.fraction = $0 })
    session.flush()
  }
}

private final class UsageQuery: Query {
  private let answered: (Double) -> Void

  init(answered: @escaping (Double) -> Void) {
    self.answered = answered
    super.init(sql: "SELECT pg_catalog.pg_notification_queue_usage()")
  }

  override func row(_ row: Row) {
    if let fraction = row.text(0).flatMap(Double.init) { answered(fraction) }
  }
}
