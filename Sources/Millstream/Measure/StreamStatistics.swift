import Logging

/// Rows for pgbus's dashboard: connects, disconnects and broadcasts of PGMQ streams, as pgbus itself writes
/// them (`pgbus_stream_stats`). Gathered for a second, then written by one statement.
final class StreamStatistics {
  enum Event: String { case broadcast, connect, disconnect }

  private struct Entry {
    let stream: [UInt8]
    let event: Event
    let durationMs: Int64
    /// How many connections it was for; nil: it was for none.
    let fanOut: Int?
    let atMs: Int64
  }

  /// What waits, and what one statement holds.
  static let maximumRows = 10_000
  static let rowsInStatement = 1_000
  private static let gatherMs: Int64 = 1_000
  private static let maximumOpenStatements = 2
  /// Of the messages that one pass has sent together.
  private static let maximumBroadcasts = 64

  private let session: PostgresSession
  private let writer: Writer
  private let logger: Logger
  private var rows = Deque<Entry>()
  private var openStatements = 0
  private var nextFlushMs: Int64 = 0
  private var isOff = false

  init(session: PostgresSession, writer: Writer, logger: Logger) {
    self.session = session
    self.writer = writer
    self.logger = logger
  }

  private static let sql = """
    INSERT INTO pgbus_stream_stats (stream_name, event_type, duration_ms, fanout, created_at)
    SELECT r.stream, r.event, r.duration, r.fanout, clock_timestamp() - r.age * interval '1 millisecond'
      FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::int[]), unnest($4::int[]),
        unnest($5::bigint[])) AS r(stream, event, duration, fanout, age)
    """

  // MARK: What happens

  func opened(_ stream: Stream) { add(.connect, stream, durationMs: 0) }

  func ended(_ connection: ConnectionRef, _ stream: Stream) {
    guard connection.pointee.wasOpened else { return }
    let nowSeconds = UInt32(truncatingIfNeeded: writer.clock.monotonicMs / 1000)
    let ageSeconds = Int64(connection.pointee.ageSeconds(nowSeconds: nowSeconds))
    add(.disconnect, stream, durationMs: ageSeconds * 1000)
  }

  /// All whose sockets have room have what was new.
  func passEnded(_ stream: Stream) {
    let count = stream.messageCount &- stream.recordedMessages
    stream.recordedMessages = stream.messageCount
    guard stream.store == .pgmq, !isOff else { return }
    let recorded = min(Int(truncatingIfNeeded: count), StreamStatistics.maximumBroadcasts)
    for _ in 0..<recorded {
      add(.broadcast, stream, durationMs: stream.lastPassUs / 1000, fanOut: stream.live.count)
    }
    writer.statistics.droppedStatisticsRows += UInt64(count) - UInt64(recorded)
  }

  private func add(_ event: Event, _ stream: Stream, durationMs: Int64, fanOut: Int? = nil) {
    guard stream.store == .pgmq, !isOff else { return }
    guard rows.count < StreamStatistics.maximumRows else {
      return writer.statistics.droppedStatisticsRows += 1
    }
    rows.append(
      Entry(
        stream: Array(stream.publicIdentity.name.utf8), event: event,
        durationMs: min(durationMs, Int64(Int32.max)), fanOut: fanOut,
        atMs: writer.clock.monotonicMs))
  }

  // MARK: Writing

  /// Called by a timer.
  func tick(_ nowMs: Int64) {
    guard nowMs >= nextFlushMs else { return }
    nextFlushMs = nowMs + StreamStatistics.gatherMs
    writeOut()
  }

  /// Writes what there is, whatever the time.
  func writeOut() {
    guard session.isReady else { return }
    while !rows.isEmpty, openStatements < StreamStatistics.maximumOpenStatements { write() }
    session.flush()
  }

  /// Nothing waits, and nothing is on its way; or there is nobody to take it.
  var isOver: Bool { (rows.isEmpty && openStatements == 0) || !session.isReady }

  private func write() {
    var batch: [Entry] = []
    while batch.count < StreamStatistics.rowsInStatement, let row = rows.popFirst() {
      batch.append(row)
    }
    let nowMs = writer.clock.monotonicMs
    let columns: [[[UInt8]]] = [
      batch.map(\.stream), batch.map { Array($0.event.rawValue.utf8) },
      batch.map { Array("\($0.durationMs)".utf8) },
    ]
    // The one array with nulls, and one of numbers: neither needs quotes.
    let fanOuts = batch.map { $0.fanOut.map { "\($0)" } ?? "NULL" }.joined(separator: ",")
    let ages = batch.map { "\(nowMs - $0.atMs)" }.joined(separator: ",")
    let parameters = columns.map(PostgresStore.arrayLiteral) + ["{\(fanOuts)}", "{\(ages)}"]
    openStatements += 1
    let query = ClosureQuery(StreamStatistics.sql, parameters) { [weak self] result in
      self?.ended(result, batch.count)
    }
    session.submit(Query(sql: WriteSettings.sql), moreFollow: true)
    session.submit(query)
  }

  private func ended(_ result: Result<Int, QueryFailure>, _ count: Int) {
    openStatements -= 1
    guard case .failure(let failure) = result else { return }
    writer.statistics.droppedStatisticsRows += UInt64(count)
    guard failure.isFinal, !isOff, case .refused(let sqlState, let message) = failure else {
      return
    }
    isOff = true
    rows = Deque()
    logger.warning(
      "statistics are off: 'doctor' says what they need",
      metadata: ["sqlstate": "\(sqlState)", "reason": "\(message)"])
  }
}
