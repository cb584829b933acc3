/// Whether PGMQ is there, and whether its queues tell of new messages.
struct PGMQChecks {
  let report: DoctorReport
  let session: CommandDatabase
  let queuePrefix: String
  let grants: Grants

  /// The first that notifies as `pgmq.enable_notify_insert(name, 0)` asks it to.
  static let oldestVersion = "1.8"

  private static let allRights = [
    "USAGE ON SCHEMA pgmq", "SELECT ON ALL TABLES IN SCHEMA pgmq",
    "SELECT ON ALL SEQUENCES IN SCHEMA pgmq",
  ]

  /// Whether PGMQ is there at all; if not, the caller says so.
  func run() -> Bool {
    var isThere = true
    report.check("store pgmq", grants: grants.remedy(PGMQChecks.allRights)) {
      () throws(DatabaseError) in
      isThere = try session.value("SELECT to_regnamespace('pgmq') IS NOT NULL") == "t"
      guard isThere, try checkVersion() else { return }
      try checkQueues()
      try checkSequences()
    }
    if isThere { report.check("store pgmq", checkQueuesToCome) }
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
        "upgrade to PGMQ \(PGMQChecks.oldestVersion) or later")
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

  // MARK: Rights

  /// A server delivers without, but has the sequence alone to tell it that ids begin anew, and whether
  /// there is anything to read.
  private func checkSequences() throws(DatabaseError) {
    let count = try session.query(
      """
      SELECT count(*) FILTER (WHERE CASE WHEN s.relkind = 'S'
                                THEN NOT has_sequence_privilege(s.oid, 'USAGE, SELECT') END)
        FROM pg_class q
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = q.oid
             AND d.classid = 'pg_class'::regclass AND d.deptype IN ('i', 'a')
        JOIN pg_class s ON s.oid = d.objid
       WHERE q.relnamespace = 'pgmq'::regnamespace AND left(q.relname, length($1::text)) = $1::text
      """, [tablePrefix]
    ).first?.first.flatMap { $0 }.flatMap { Int($0) }
    guard let count, count > 0 else { return }
    report.warn(
      "store pgmq: this role may not read the sequences of \(count) queues: if ids of one begin anew, as "
        + "after a restore, messages are lost, and each look reads the tables",
      grants.remedy(["SELECT ON ALL SEQUENCES IN SCHEMA pgmq"]))
  }

  /// What was granted on all tables does not hold for those that are made later. Who has made the queues
  /// that there are will make the others.
  private func checkQueuesToCome() throws(DatabaseError) {
    let lacking = try session.query(PGMQChecks.lackingSQL, [tablePrefix])
    let makers = Dictionary(grouping: lacking) { $0[0] ?? "" }.mapValues { $0.compactMap { $0[1] } }
    for (maker, kinds) in makers.sorted(by: { $0.key < $1.key }) {
      let names = kinds.map { $0.lowercased() }.joined(separator: " and ")
      report.warn(
        "store pgmq: this role may not read the \(names) of queues that \(maker) makes from now on",
        grants.remedy(kinds, madeBy: maker, in: "pgmq"))
    }
  }

  /// Who makes queues (if nobody has yet: the owner of the schema), and of which kind of thing this role
  /// will not be allowed to read what they make.
  private static let lackingSQL = """
    WITH space AS (SELECT oid, nspowner FROM pg_namespace WHERE nspname = 'pgmq'),
    owners AS (
      SELECT DISTINCT relowner AS oid FROM pg_class
       WHERE relnamespace = (SELECT oid FROM space) AND left(relname, length($1::text)) = $1::text),
    makers AS (
      SELECT oid FROM owners
      UNION ALL SELECT nspowner FROM space WHERE NOT EXISTS (SELECT FROM owners))
    SELECT quote_ident(maker.rolname), kind.name
      FROM makers JOIN pg_roles AS maker USING (oid),
           (VALUES ('r'::"char", 'TABLES'), ('S', 'SEQUENCES')) AS kind(type, name)
     WHERE NOT pg_has_role(oid, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_roles AS reader
                        WHERE reader.rolname = 'pg_read_all_data' AND pg_has_role(reader.oid, 'USAGE'))
       AND NOT EXISTS (
         SELECT FROM pg_default_acl AS given, aclexplode(given.defaclacl) AS item
          WHERE given.defaclrole = makers.oid AND given.defaclobjtype = kind.type
            AND given.defaclnamespace IN (0, (SELECT oid FROM space))
            AND item.privilege_type = 'SELECT'
            AND (item.grantee = 0 OR pg_has_role(item.grantee, 'USAGE')))
     ORDER BY 1, kind.name DESC
    """

  /// As the tables are named, which PGMQ folds to lower case.
  private var tablePrefix: String { "q_" + queuePrefix.lowercased() + "_" }

  /// A few are named; after a crash it may be all of thousands.
  private func report(_ problem: QueueState.Problem, _ queues: [QueueState]) {
    let shown = 10
    for queue in queues.prefix(shown) {
      let text = "queue \(queue.name): " + queue.text(of: problem)
      if problem.isFailure {
        report.fail(text, queue.remedy(of: problem, grants))
      } else {
        report.warn(text, queue.remedy(of: problem, grants))
      }
    }
    if queues.count > shown {
      let text = "and \(queues.count - shown) more queues with the same problem"
      problem.isFailure ? report.fail(text, "do the same") : report.warn(text, "do the same")
    }
  }
}
