/// A store that asks Postgres: questions become queries, and their answers calls of the receiver.
class PostgresStore: MessageStore {
  let reads: PostgresSession

  init(kind: StoreKind, reads: PostgresSession) {
    self.reads = reads
    super.init(kind: kind)
  }

  override var isAnswering: Bool { reads.isExpected }

  override func flush() {
    reads.flush()
  }

  /// The query for the first `stream.readRows` messages above `after`, in order, with the columns
  /// `id, data, event, visible_to, exclude`; then, where the store has such a thing, `epoch`; and where
  /// `tellsBefore`, whether there is a message at or below `after` (no such column: there is none), with
  /// one row of nulls if there is no message.
  func messagesSQL(
    of stream: Stream, after: Int64, tellsBefore: Bool
  ) -> (sql: String, parameters: [String?]) {
    preconditionFailure("a store says how to read")
  }

  /// Asks whether the log's last message is still what the store has under its id.
  override func checkTip(of stream: Stream, _ finding: Finding) {
    let query = messagesSQL(of: stream, after: stream.log.tip - 1, tellsBefore: false)
    submit(TipCheck(store: self, stream: stream, finding: finding, query))
    reads.flush()
  }

  /// Reads what is above the log's tip.
  override func read(_ stream: Stream) {
    let query = messagesSQL(
      of: stream, after: stream.log.tip,
      tellsBefore: stream.order.hold != nil || stream.wasInterrupted)
    submit(LogQuery(LogRead(store: self, stream: stream), query))
  }

  /// Reads a page for those who are behind.
  override func readPage(of stream: Stream, after: Int64) {
    let query = messagesSQL(of: stream, after: after, tellsBefore: true)
    openPages += 1
    submit(PageQuery(PageRead(store: self, stream: stream, after: after), query))
  }

  /// What holds for one read alone. A pooler may lend the session to others, so nothing is set for
  /// longer; a queue that somebody has locked does not keep the others waiting.
  var settingsSQL: String { PostgresStore.limitsSQL }

  /// The part of it that is the same for every store.
  static let limitsSQL = """
    SELECT pg_catalog.set_config('lock_timeout', '250ms', true),
           pg_catalog.set_config('statement_timeout', '20s', true)
    """

  /// Puts a question into the pipeline, under our settings.
  func submit(_ query: Query) {
    reads.submit(Query(sql: settingsSQL), moreFollow: true)
    reads.submit(query)
  }

  /// Names as a Postgres array literal.
  static func arrayLiteral(_ names: [[UInt8]]) -> String {
    var literal: [UInt8] = [UInt8(ascii: "{")]
    for (index, name) in names.enumerated() {
      if index > 0 { literal.append(UInt8(ascii: ",")) }
      literal.append(UInt8(ascii: "\""))
      for byte in name {
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
          literal.append(UInt8(ascii: "\\"))
        }
        literal.append(byte)
      }
      literal.append(UInt8(ascii: "\""))
    }
    literal.append(UInt8(ascii: "}"))
    return String(decoding: literal, as: UTF8.self)
  }
}
