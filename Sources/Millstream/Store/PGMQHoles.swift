import CLibPQ

// PGMQ takes ids from a sequence before the transaction commits: what has to be asked to deliver in
// order all the same. See `CommitOrder`.
//
// `nextval` locks its sequence in the mode RowExclusiveLock, before it takes the id, to the end of the
// transaction, savepoints or not (PostgreSQL, `lock_and_open_sequence` in sequence.c). Reading,
// archiving and deleting messages lock the table only, so they hold nobody up. Where a table has no
// sequence of its own, its own lock has to do.

private let holdersSQL = """
  coalesce((
    SELECT pg_catalog.array_agg(locks.virtualtransaction) FROM pg_catalog.pg_locks AS locks
     WHERE locks.locktype = 'relation' AND locks.mode = 'RowExclusiveLock' AND locks.granted
       AND locks.relation = asked.relation::oid
       AND locks.database = (SELECT oid FROM pg_catalog.pg_database
                              WHERE datname = pg_catalog.current_database())
       AND locks.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()), '{}')::text
  """

extension Row {
  /// A column that holds an array of virtual transactions: `{3/12,4/7}`.
  fileprivate func holders(_ column: Int32) -> [CommitOrder.Holder] {
    guard let text = text(column) else { return [] }
    return text.dropFirst().dropLast().split(separator: ",").map(String.init)
  }
}

/// Asks who holds the locks of several streams.
final class HoldersQuery: Query {
  private unowned let store: MessageStore
  private let streams: [Stream]
  private let askedMs: Int64

  init(store: MessageStore, streams: [Stream], askedMs: Int64) {
    self.store = store
    self.streams = streams
    self.askedMs = askedMs
    let relations = streams.map { String($0.lockedRelation) }.joined(separator: ",")
    super.init(
      sql: """
        SELECT asked.ordinal, \(holdersSQL)
          FROM pg_catalog.unnest($1::bigint[]) WITH ORDINALITY AS asked(relation, ordinal)
        """, parameters: ["{\(relations)}"])
  }

  override func row(_ row: Row) {
    guard let ordinal = row.integer(0) else { return }
    store.receiver?.foundHolders(
      row.holders(1), of: streams[Int(ordinal) - 1], askedMs: askedMs)
  }
}

/// Finds where "from now on" is: the highest id that can be seen, and who may fill holes below it.
/// The snapshot is taken before the locks are looked at, as it must be.
final class TipQuery: Query {
  private unowned let store: MessageStore
  let stream: Stream
  private var finding: Finding
  private var holders: [CommitOrder.Holder] = []
  /// The queue was made anew since the look.
  private var isAnother = false

  init(store: MessageStore, stream: Stream, finding: Finding) {
    self.store = store
    self.stream = stream
    self.finding = finding
    let highest = PGMQStore.ofBothTables(of: stream) { "SELECT max(msg_id) AS id FROM \($0)" }
    super.init(
      sql: """
        SELECT max(highest.id), \(holdersSQL), \(PGMQStore.identity(of: stream))
          FROM (\(highest)) AS highest, (SELECT $1::bigint AS relation) AS asked
         GROUP BY asked.relation
        """, parameters: [String(finding.lockedRelation)])
  }

  override func row(_ row: Row) {
    // Whoever could still commit one of the ids that were given out before would hold the lock.
    let given = finding.highestID == Finding.unknownID ? 0 : finding.highestID
    finding.tip = max(row.integer(0) ?? 0, given)
    holders = row.holders(1)
    isAnother = row.integer(2) != finding.identity
  }

  override func finished() {
    if isAnother { return store.foundAnother(than: stream) }
    store.receiver?.foundTip(of: stream, finding, holders: holders)
  }

  override func failed(_ failure: QueryFailure) {
    store.lookFailed(at: stream, failure)
  }
}

/// Finds where to begin where transactions are open that do not end: below the lowest id missing
/// among the recent ones. What is missing among the older ones counts as late: how old they are is known of
/// the transactions only, so that anybody who has the lock by then may be one of those who took it.
final class OpenHolesQuery: Query {
  private unowned let store: MessageStore
  let stream: Stream
  private var finding: Finding

  /// How many ids below the highest are looked at.
  private static let window: Int64 = 10_000

  init(store: MessageStore, stream: Stream, finding: Finding, youngerThanMs: Int64) {
    self.store = store
    self.stream = stream
    self.finding = finding
    let ids = PGMQStore.ofBothTables(of: stream) {
      "SELECT msg_id, enqueued_at FROM \($0) WHERE msg_id > $1::bigint"
    }
    super.init(
      sql: """
        WITH ids AS MATERIALIZED (\(ids)),
        pairs AS (SELECT pg_catalog.lag(msg_id, 1, $1::bigint) OVER (ORDER BY msg_id) + 1 AS low,
                         msg_id - 1 AS high FROM ids),
        old AS (SELECT max(msg_id) AS id FROM ids
                 WHERE enqueued_at < pg_catalog.now() - $2::bigint * interval '1 millisecond')
        SELECT low, high, high < coalesce(old.id, 0), NULL, NULL FROM pairs, old WHERE low <= high
         UNION ALL SELECT NULL, NULL, NULL, (SELECT max(msg_id) FROM ids), \(holdersSQL)
          FROM (SELECT $3::bigint AS relation) AS asked
         ORDER BY low DESC NULLS FIRST LIMIT 1000
        """,
      parameters: [
        String(max(finding.tip - OpenHolesQuery.window, 0)), String(youngerThanMs),
        String(finding.lockedRelation),
      ])
  }

  override func row(_ row: Row) {
    // What lies above the highest that can be seen may be open, too: nothing is passed over.
    if row.bytes(0) == nil {
      finding.tip = row.integer(3) ?? 0
      finding.lateHolders = row.holders(4)
    }
    guard let low = row.integer(0), let high = row.integer(1) else { return }
    if !row.bool(2) {
      finding.tip = min(finding.tip, low - 1)
    } else if finding.lateHoles.count < LateHoles.maximumRanges {
      finding.lateHoles.insert(low...high, at: 0)
    }
  }

  override func finished() {
    store.receiver?.looked(at: stream, finding)
  }

  override func failed(_ failure: QueryFailure) {
    store.lookFailed(at: stream, failure)
  }
}

/// Reads what has come of the messages that were passed over.
final class LateQuery: Query {
  private unowned let store: MessageStore
  let stream: Stream
  private let incarnation: Int
  let limit: Int

  init(store: MessageStore, stream: Stream) {
    self.store = store
    self.stream = stream
    incarnation = stream.incarnation
    limit = stream.readRows
    let ranges = stream.late?.ranges ?? []
    let rows = PGMQStore.ofBothTables(of: stream) { table in
      """
      SELECT msg_id, message
        FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS hole(low, high),
             LATERAL (SELECT msg_id, message FROM \(table) WHERE msg_id BETWEEN low AND high
                       ORDER BY msg_id LIMIT \(stream.readRows)) AS late
      """
    }
    super.init(
      sql: """
        SELECT \(PGMQStore.columns), \(PGMQStore.identity(of: stream))
          FROM (\(rows)) AS messages ORDER BY msg_id LIMIT \(stream.readRows)
        """,
      parameters: [
        "{" + ranges.map { String($0.lowerBound) }.joined(separator: ",") + "}",
        "{" + ranges.map { String($0.upperBound) }.joined(separator: ",") + "}",
      ])
  }

  override func takeRows(of result: OpaquePointer) {
    guard incarnation == stream.incarnation, stream.isOfRead(result) else { return }
    let rows = ResultRows(result)
    let isTaken = (0..<rows.count).allSatisfy { take(rows.message($0), rows.id($0)) }
    store.receiver?.lateReadEnded(of: stream, isComplete: isTaken && rows.count < limit)
  }

  private func take(_ message: Message, _ id: Int64) -> Bool {
    var message = message
    message.id = nil
    return store.receiver?.takeLate(message, id: id, of: stream) != false
  }

  override func failed(_ failure: QueryFailure) {
    guard incarnation == stream.incarnation else { return }
    store.receiver?.lateReadFailed(of: stream, failure)
  }
}
