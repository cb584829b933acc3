/// Streams that are PGMQ queues, as pgbus uses them. Rows are read, never claimed or changed.
final class PGMQStore: PostgresStore {
  init(reads: PostgresSession) {
    super.init(kind: .pgmq, reads: reads)
  }

  /// Whether the queue's table is there and which one it is; the highest id that was given out (the
  /// sequence says so without a look at the table, where we may ask it); how long the notify trigger may keep silent.
  /// `throttles` cannot be named where it does not exist (PGMQ before 1.8), hence the two forms.
  private static func lookSQL(hasThrottles: Bool) -> String {
    let throttle =
      hasThrottles
      ? """
      (SELECT throttle_interval_ms FROM pgmq.notify_insert_throttle
        WHERE queue_name = names.name LIMIT 1)
      """ : "NULL"
    return """
      SELECT names.ordinal, tables.oid::bigint,
             CASE WHEN pg_catalog.has_sequence_privilege(ids.sequence, 'USAGE, SELECT')
                  THEN coalesce(pg_catalog.pg_sequence_last_value(ids.sequence::regclass), 0)
                  ELSE \(Finding.unknownID) END,
             \(throttle),
             coalesce(ids.sequence::regclass::oid, tables.oid)::bigint
        FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS names(name, ordinal),
             pg_catalog.to_regclass('pgmq.' || pg_catalog.quote_ident('q_' || names.name))
               AS tables(oid)
        JOIN pg_catalog.pg_class AS classes
          ON classes.oid = tables.oid AND classes.relkind IN ('r', 'p')
        JOIN pg_catalog.pg_attribute AS columns
          ON columns.attrelid = classes.oid AND columns.attname = 'msg_id'
             AND NOT columns.attisdropped,
             LATERAL (SELECT CASE WHEN columns.attnum > 0 THEN
               pg_catalog.pg_get_serial_sequence(classes.oid::regclass::text, 'msg_id') END)
               AS ids(sequence)
      """
  }

  /// Not known of a session that is new; asked before each look until there is such a table.
  private var hasThrottles = false

  override func sessionReady() {
    hasThrottles = false
  }

  override func look(at streams: [Stream]) {
    if hasThrottles { return askAbout(streams) }
    reads.submit(ThrottleTableQuery(streams: streams, store: self))
  }

  fileprivate func throttlesKnown(_ hasThrottles: Bool, _ streams: [Stream]) {
    self.hasThrottles = hasThrottles
    askAbout(streams)
    reads.flush()
  }

  private func askAbout(_ streams: [Stream]) {
    let sql = PGMQStore.lookSQL(hasThrottles: hasThrottles)
    submit(QueueLookQuery(sql: sql, streams: streams, store: self))
  }

  /// Archiving moves a row in one statement, so one query over both tables sees it exactly once.
  /// Postgres takes the JSON apart: that is work for one session, not for the loop.
  override func messagesSQL(
    of stream: Stream, after: Int64, tellsBefore: Bool
  ) -> (sql: String, parameters: [String?]) {
    let limit = stream.readRows
    let rows = PGMQStore.ofBothTables(of: stream) { table in
      "(SELECT msg_id, message FROM \(table) WHERE msg_id > $1::bigint ORDER BY msg_id LIMIT \(limit))"
    }
    let identity = PGMQStore.identity(of: stream)
    let messages = "SELECT * FROM (\(rows)) AS both_tables ORDER BY msg_id LIMIT \(limit)"
    let sql =
      tellsBefore
      ? """
      SELECT \(PGMQStore.columns), \(identity), kept.lowest <= $1::bigint
        FROM (SELECT min(id) AS lowest FROM (\(PGMQStore.lowestIDs(of: stream))) AS ids) AS kept
        LEFT JOIN (\(messages)) AS messages ON true ORDER BY msg_id
      """ : "SELECT \(PGMQStore.columns), \(identity) FROM (\(messages)) AS messages"
    return (sql, [String(after)])
  }

  private static func lowestIDs(of stream: Stream) -> String {
    ofBothTables(of: stream) { "SELECT min(msg_id) AS id FROM \($0)" }
  }

  /// Which table the rows are of. A name that is written as a constant is looked up after the tables in
  /// FROM were, and so locked.
  static func identity(of stream: Stream) -> String {
    #"'pgmq."q_\#(String(decoding: stream.storageName, as: UTF8.self))"'::regclass::oid::bigint"#
  }

  /// `id, data, event, visible_to, exclude` of a row.
  static let columns = """
    msg_id, CASE WHEN jsonb_typeof(message->'html') = 'string' THEN message->>'html'
                 ELSE message::text END,
    CASE WHEN jsonb_typeof(message->'event') = 'string' THEN message->>'event' END,
    message->>'visible_to', message->>'exclude'
    """

  /// The rows that `select` gives of the queue's table and of its archive, in one query.
  static func ofBothTables(of stream: Stream, _ select: (String) -> String) -> String {
    let name = String(decoding: stream.storageName, as: UTF8.self)
    return [#"pgmq."q_\#(name)""#, #"pgmq."a_\#(name)""#].map(select).joined(
      separator: " UNION ALL ")
  }

  override func askHolders(of streams: [Stream], nowMs: Int64) {
    submit(HoldersQuery(store: self, streams: streams, askedMs: nowMs))
  }

  override func readLate(of stream: Stream) {
    submit(LateQuery(store: self, stream: stream))
  }

  override func findOpenHoles(of stream: Stream, _ finding: Finding, youngerThanMs: Int64) {
    submit(
      OpenHolesQuery(store: self, stream: stream, finding: finding, youngerThanMs: youngerThanMs))
    reads.flush()
  }
}

/// Asks whether the throttle of notify triggers is kept in a table, before a look that would name it.
private final class ThrottleTableQuery: Query {
  private unowned let store: PGMQStore
  private let streams: [Stream]
  private var hasThrottles = false

  init(streams: [Stream], store: PGMQStore) {
    self.streams = streams
    self.store = store
    super.init(
      sql: "SELECT pg_catalog.to_regclass('pgmq.notify_insert_throttle') IS NOT NULL")
  }

  override func row(_ row: Row) {
    hasThrottles = row.bool(0)
  }

  override func finished() {
    store.throttlesKnown(hasThrottles, streams)
  }

  override func failed(_ failure: QueryFailure) {
    for stream in streams { store.lookFailed(at: stream, failure) }
  }
}

/// Looks at many queues at once.
private final class QueueLookQuery: LookQuery {
  private unowned let pgmq: PGMQStore

  init(sql: String, streams: [Stream], store: PGMQStore) {
    pgmq = store
    super.init(sql: sql, streams: streams, store: store)
  }

  override func row(_ row: Row) {
    guard let ordinal = row.integer(0), let identity = row.integer(1) else { return }
    findings[Int(ordinal) - 1] = Finding(
      identity: identity, highestID: row.integer(2) ?? 0, tip: 0, throttleMs: row.integer(3) ?? 0,
      lockedRelation: row.integer(4) ?? identity)
  }

  override func found(_ stream: Stream, _ finding: Finding?) {
    if let finding, !stream.reader.isKnown {
      pgmq.submit(TipQuery(store: pgmq, stream: stream, finding: finding))
    } else {
      super.found(stream, finding)
    }
  }

  override func finished() {
    super.finished()
    pgmq.reads.flush()
  }
}
