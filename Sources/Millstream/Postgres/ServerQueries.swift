/// Asks whether the server is the primary.
final class PrimaryCheck: Query {
  private let answered: (Bool) -> Void
  private var isPrimary = false

  init(answered: @escaping (Bool) -> Void) {
    self.answered = answered
    super.init(sql: "SELECT NOT pg_catalog.pg_is_in_recovery()")
  }

  override func row(_ row: Row) {
    isPrimary = row.bool(0)
  }

  override func finished() {
    answered(isPrimary)
  }

  override func failed(_ failure: QueryFailure) {
    if case .refused = failure { answered(false) }
  }
}

/// Asks on which timeline the server is. Some that only speak like Postgres refuse to say.
final class TimelineQuery: Query {
  /// Empty for a standby, and where it is not known.
  private(set) var timeline = ""

  init() {
    super.init(
      sql: """
        SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN
          left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) END
        """)
  }

  override func row(_ row: Row) {
    timeline = row.text(0) ?? ""
  }
}
