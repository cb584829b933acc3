import Logging

/// Whether the stores that are served are in the database and may be read, and a word in the log where they are
/// not: a stream of which nothing is there is none yet, so everybody would wait for it without an error.
///
/// Asked when the session is ready, and once a minute from then on: a schema, and grants, may come later and go.
final class StoreAccess {
  /// What was found of a store.
  enum Finding: Equatable { case readable, forbidden, missing }

  private let kinds: Set<StoreKind>
  private let reads: PostgresSession
  private let clock: Clock
  private let logger: Logger
  private var findings: [StoreKind: Finding] = [:]
  /// What was warned of, and when.
  private var said: [StoreKind: Finding] = [:]
  private var saidAtMs: Int64 = 0
  private var isSessionNew = false
  private var nextMs = Int64.max
  private static let pauseMs: Int64 = 60_000

  /// `kinds`: those of them that are in Postgres.
  init(_ kinds: Set<StoreKind>, reads: PostgresSession, clock: Clock, logger: Logger) {
    self.kinds = kinds
    self.reads = reads
    self.clock = clock
    self.logger = logger
  }

  /// Whether each of the stores can be read; one of which it is not known, or does not matter, is left out.
  var isAvailable: [StoreKind: Bool] {
    let problems = StoreAccess.problems(of: kinds, findings)
    return findings.compactMapValues { $0 == .readable ? true : nil }
      .merging(problems.mapValues { _ in false }) { $1 }
  }

  /// A store that is not there at all is as good as one without streams, where another one is.
  static func problems(
    of kinds: Set<StoreKind>, _ findings: [StoreKind: Finding]
  ) -> [StoreKind: Finding] {
    let isAnyThere = kinds.contains { ![nil, .missing].contains(findings[$0]) }
    return findings.filter {
      $0.value == .forbidden || ($0.value == .missing && !isAnyThere)
    }
  }

  /// The reading session is new.
  func sessionReady() {
    isSessionNew = true
    ask()
  }

  /// Time has passed.
  func tick(_ nowMs: Int64) {
    if nowMs >= nextMs && reads.isReady { ask() }
  }

  private func ask() {
    nextMs = clock.monotonicMs + StoreAccess.pauseMs
    reads.submit(Query(sql: PostgresStore.limitsSQL), moreFollow: true)
    reads.submit(AccessQuery { [weak self] in self?.answered($0) })
    reads.flush()
  }

  private func answered(_ found: [StoreKind: Finding]) {
    findings = found.filter { kinds.contains($0.key) }
    let problems = StoreAccess.problems(of: kinds, findings)
    let nowMs = clock.monotonicMs
    let isDueAgain = isSessionNew && nowMs - saidAtMs >= StoreAccess.pauseMs
    isSessionNew = false
    guard problems != said || (isDueAgain && !problems.isEmpty) else { return }
    for kind in said.keys where problems[kind] == nil {
      logger.notice("a store can be read now", metadata: ["store": "\(kind)"])
    }
    said = problems
    saidAtMs = nowMs
    for (kind, problem) in problems { warn(of: kind, problem) }
  }

  private func warn(of kind: StoreKind, _ problem: Finding) {
    let schema = kind == .pgmq ? "pgmq" : "millstream"
    let reason =
      problem == .missing
      ? "there is no schema \(schema) with its tables in this database"
      : "this role may not read the schema \(schema)"
    logger.warning(
      "a store cannot be read, so nothing of it is delivered; run 'millstream doctor'",
      metadata: ["store": "\(kind)", "reason": "\(reason)"])
  }
}

/// Asks which schemas are there, and whether this role may read them: of PGMQ's, whose tables are one for each
/// queue, whether it may use it.
private final class AccessQuery: Query {
  private let answered: ([StoreKind: StoreAccess.Finding]) -> Void
  private var findings: [StoreKind: StoreAccess.Finding] = [.native: .missing, .pgmq: .missing]

  init(answered: @escaping ([StoreKind: StoreAccess.Finding]) -> Void) {
    self.answered = answered
    // From the catalog: to name a table of a schema that one may not use is an error.
    super.init(
      sql: """
        SELECT space.nspname = 'pgmq', space.nspname = 'pgmq' OR pg_catalog.count(class.oid) = 2,
               pg_catalog.has_schema_privilege(space.oid, 'USAGE')
               AND coalesce(pg_catalog.bool_and(
                 pg_catalog.has_table_privilege(class.oid, 'SELECT')), true)
          FROM pg_catalog.pg_namespace AS space
          LEFT JOIN pg_catalog.pg_class AS class
            ON class.relnamespace = space.oid AND space.nspname = 'millstream'
               AND class.relname IN ('streams', 'messages')
         WHERE space.nspname IN ('millstream', 'pgmq')
         GROUP BY space.oid, space.nspname
        """)
  }

  override func row(_ row: Row) {
    guard row.bool(1) else { return }
    findings[row.bool(0) ? .pgmq : .native] = row.bool(2) ? .readable : .forbidden
  }

  override func finished() { answered(findings) }
}
