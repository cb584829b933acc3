/// Whether the two sessions are with a server that can do what is needed, and hear each other.
struct SessionChecks {
  let report: DoctorReport
  let timeoutMs: Int64

  /// Postgres 14 has what the schema and the pipelines use.
  private static let oldestVersion = 140_000

  func checkServer(_ session: CommandDatabase) {
    report.check("server") { () throws(DatabaseError) in
      let number = try session.value("SHOW server_version_num").flatMap { Int($0) } ?? 0
      let name = try session.value("SHOW server_version") ?? "?"
      if number < SessionChecks.oldestVersion {
        report.fail("server: Postgres \(name) is too old", "upgrade to Postgres 14 or later")
      } else {
        report.ok("server: Postgres \(name)")
      }
    }
    report.check("notification queue") { () throws(DatabaseError) in
      let usage = try session.value("SELECT pg_notification_queue_usage()").flatMap { Double($0) }
      let percent = Int((usage ?? 0) * 100)
      if percent > 50 {
        try reportFilling(percent, session)
      } else {
        report.ok("notification queue: \(percent) % full")
      }
    }
  }

  /// The queue is freed up to the oldest transaction of a session that listens.
  private func reportFilling(_ percent: Int, _ session: CommandDatabase) throws(DatabaseError) {
    // Which sessions listen is not to be seen from outside; the oldest transaction is the suspect.
    let oldest = try session.query(
      """
      SELECT pid, state, extract(epoch FROM now() - xact_start)::bigint FROM pg_stat_activity
       WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
       ORDER BY xact_start LIMIT 1
      """
    ).first?.map { $0 ?? "?" }
    let suspect =
      oldest.map { "the oldest transaction: pid \($0[0]), \($0[1]), for \($0[2]) s" }
      ?? "the one with the oldest transaction"
    let remedy = "end the session that listens and does not read: see pg_stat_activity, \(suspect)"
    let text = "notification queue: \(percent) % full; when it is full, every NOTIFY fails"
    // It is never quite full: the last page counts as free.
    if percent >= 99 { report.fail(text, remedy) } else { report.warn(text, remedy) }
  }

  /// Each loop has a session, and one listens for all; while a server is exchanged there are two of them.
  func checkRoom(_ session: CommandDatabase, loops: Int) {
    report.check("server sessions") { () throws(DatabaseError) in
      let free =
        try session.value(
          """
          SELECT current_setting('max_connections')::int
                 - current_setting('superuser_reserved_connections')::int
                 - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
          """
        ).flatMap { Int($0) } ?? 0
      let needed = loops + 1
      let text = "server sessions: \(free) are free, and one server takes \(needed)"
      if free < needed {
        report.warn(
          text, "raise max_connections of Postgres, give --loops, or a pooler as --database")
      } else {
        report.ok(text)
      }
    }
  }

  /// Whether notifications get from the one to the other.
  func checkPair(_ reads: CommandDatabase, _ listens: CommandDatabase) -> Bool {
    checkPrimary(reads, "session")
    checkPrimary(listens, "LISTEN session")
    var hears = false
    report.check("LISTEN") { () throws(DatabaseError) in
      let isPooled = try isPooled(listens)
      hears = try hearsNotification(reads, listens)
      if hears {
        reportHearing(isPooled)
      } else {
        reportSilence(isPooled, isSameDatabase: try isSameDatabase(reads, listens))
      }
    }
    return hears
  }

  private func checkPrimary(_ session: CommandDatabase, _ name: String) {
    report.check(name) { () throws(DatabaseError) in
      if try session.value("SELECT pg_is_in_recovery()") == "t" {
        report.fail(
          "\(name): this server is a standby, which notifications never reach",
          "connect to the primary, for instance with target_session_attrs=read-write")
      } else {
        report.ok("\(name): on the primary")
      }
    }
  }

  /// The process that answers is not the one that the connection was announced to be with, or it
  /// changes between transactions.
  private func isPooled(_ session: CommandDatabase) throws(DatabaseError) -> Bool {
    var processes: Set = ["\(session.announcedProcessID)"]
    for _ in 0..<3 {
      processes.insert(try session.value("SELECT pg_backend_pid()") ?? "")
    }
    return processes.count > 1
  }

  private func hearsNotification(
    _ reads: CommandDatabase, _ listens: CommandDatabase
  ) throws(DatabaseError) -> Bool {
    let channel = "millstream_doctor_" + RandomName.make()
    try listens.run("LISTEN \(channel)")
    try reads.query("SELECT pg_notify($1::text, '')", [channel])
    let hears = try listens.notification(withinMs: timeoutMs) { $0.channel == channel } != nil
    try listens.run("UNLISTEN \(channel)")
    return hears
  }

  private func isSameDatabase(
    _ one: CommandDatabase, _ other: CommandDatabase
  ) throws(DatabaseError) -> Bool {
    // The time of the start tells servers apart, and anybody may ask for it.
    let sql = "SELECT current_database() || pg_postmaster_start_time()::text"
    return try one.value(sql) == other.value(sql)
  }

  private func reportHearing(_ isPooled: Bool) {
    if isPooled {
      report.warn(
        "LISTEN: works, but a pooler stands in the way, and holds a server session for it",
        "give --listen-database the address of the Postgres server itself")
    } else {
      report.ok("LISTEN: a notification came through")
    }
  }

  private func reportSilence(_ isPooled: Bool, isSameDatabase: Bool) {
    if !isSameDatabase {
      report.fail(
        "LISTEN: --database and --listen-database are not the same database of one server",
        "let both name the same database of the primary")
    } else if isPooled {
      report.fail(
        "LISTEN: a pooler in the way swallows notifications (transaction or statement pooling)",
        "give --listen-database the address of the Postgres server itself, past the pooler")
    } else {
      report.fail(
        "LISTEN: no notification within \(timeoutMs) ms",
        "give --listen-database the server's own address; look for long transactions; or a longer "
          + "--timeout")
    }
  }
}

/// A name that nobody else has.
enum RandomName {
  static func make() -> String { String(UInt64.random(in: .min ... .max), radix: 16) }
}
