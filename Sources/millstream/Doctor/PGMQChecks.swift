/// Whether PGMQ is there, and whether its queues tell of new messages.
struct PGMQChecks {
  let report: DoctorReport
  let session: CommandDatabase
  let queuePrefix: String

  private static let grants =
    "its owner has to run GRANT USAGE ON SCHEMA pgmq and GRANT SELECT ON ALL TABLES IN SCHEMA pgmq, "
    + "both TO this role"

  /// Whether PGMQ is there at all; if not, the caller says so.
  func run() -> Bool {
    var isThere = true
    report.check("store pgmq", grants: PGMQChecks.grants) { () throws(DatabaseError) in
      isThere = try session.value("SELECT to_regnamespace('pgmq') IS NOT NULL") == "t"
      guard isThere, try checkVersion() else { return }
      try checkQueues()
    }
    return isThere
  }

  /// Whether its tables are there.
  private func checkVersion() throws(DatabaseError) -> Bool {
    guard try session.value("SELECT to_regclass('pgmq.meta') IS NOT NULL") == "t" else {
      report.fail("store pgmq: the schema is there, but not PGMQ's tables", "install PGMQ anew")
      return false
    }
    let version =
      try session.value("SELECT extversion FROM pg_extension WHERE extname = 'pgmq'").map {
        "extension \($0)"
      } ?? "installed as plain SQL"
    let canNotify =
      try session.value(
        """
        SELECT EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'pgmq'::regnamespace
                          AND proname = 'enable_notify_insert')
        """) == "t"
    if canNotify {
      report.ok("store pgmq: \(version)")
    } else {
      report.warn(
        "store pgmq: \(version) cannot notify: messages wait for the look of --safety-poll",
        "upgrade to PGMQ 1.11 or later")
    }
    return canNotify
  }

  private func checkQueues() throws(DatabaseError) {
    let hasThrottles =
      try session.value("SELECT to_regclass('pgmq.notify_insert_throttle') IS NOT NULL") == "t"
    let rows = try session.query(
      PGMQChecks.queuesSQL(hasThrottles: hasThrottles), [queuePrefix.lowercased() + "_"])
    let states = rows.compactMap { QueueState($0, hasThrottles: hasThrottles) }
    for problem in QueueState.Problem.allCases {
      report(problem, states.filter { $0.problem == problem })
    }
    let good = states.filter { $0.problem == nil }.count
    report.ok(
      "store pgmq: \(good) of \(states.count) queues '\(queuePrefix)_…' notify as they should")
  }

  /// Name, table there, readable, trigger on, throttle.
  private static func queuesSQL(hasThrottles: Bool) -> String {
    let throttle =
      hasThrottles
      ? """
      (SELECT throttle_interval_ms FROM pgmq.notify_insert_throttle t
        WHERE t.queue_name = m.queue_name)
      """ : "NULL::integer"
    return """
      SELECT m.queue_name, q.oid IS NOT NULL AND a.oid IS NOT NULL,
             has_table_privilege(q.oid::oid, 'SELECT') AND has_table_privilege(a.oid::oid, 'SELECT'),
             EXISTS (SELECT FROM pg_trigger WHERE tgrelid = q.oid AND tgenabled IN ('O', 'A')
                        AND tgname = 'trigger_notify_queue_insert_listeners'),
             \(throttle)
        FROM pgmq.meta m,
             to_regclass('pgmq.' || quote_ident('q_' || lower(m.queue_name))) AS q(oid),
             to_regclass('pgmq.' || quote_ident('a_' || lower(m.queue_name))) AS a(oid)
       WHERE left(lower(m.queue_name), length($1::text)) = $1::text
       ORDER BY 1
      """
  }

  /// A few are named; after a crash it may be all of thousands.
  private func report(_ problem: QueueState.Problem, _ queues: [QueueState]) {
    let shown = 10
    for queue in queues.prefix(shown) {
      let text = "queue \(queue.name): " + queue.text(of: problem)
      if problem.isFailure {
        report.fail(text, queue.remedy(of: problem))
      } else {
        report.warn(text, queue.remedy(of: problem))
      }
    }
    if queues.count > shown {
      let text = "and \(queues.count - shown) more queues with the same problem"
      problem.isFailure ? report.fail(text, "do the same") : report.warn(text, "do the same")
    }
  }
}
