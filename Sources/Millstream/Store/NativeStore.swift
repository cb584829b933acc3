/// Streams of Millstream's own schema (`millstream install`), for everyone without PGMQ.
final class NativeStore: PostgresStore {
  init(reads: PostgresSession) {
    super.init(kind: .native, reads: reads)
  }

  /// Whether the schema is there; retention is looked after where it is.
  private var isInstalled = false

  override var settingsSQL: String { super.settingsSQL + ", " + NativeSchema.readerSettings }

  override func look(at streams: [Stream]) {
    submit(NativeLookQuery(streams: streams, store: self))
  }

  override func maintain() {
    if isInstalled && reads.isReady { reads.submit(Query(sql: NativeSchema.maintain)) }
  }

  fileprivate func lookAnswered(isInstalled: Bool) {
    self.isInstalled = isInstalled
  }

  private static let messagesSQL = """
    SELECT id, data, event, visible_to, exclude, epoch FROM (\(NativeSchema.readMessages)) AS messages
     ORDER BY id
    """

  override func messagesSQL(
    of stream: Stream, after: Int64, tellsBefore: Bool
  ) -> (sql: String, parameters: [String?]) {
    let name = PostgresStore.arrayLiteral([stream.storageName])
    return (NativeStore.messagesSQL, [name, "{\(after)}", String(stream.readRows)])
  }
}

/// Looks at many native streams at once.
private final class NativeLookQuery: LookQuery {
  private unowned let native: NativeStore

  init(streams: [Stream], store: NativeStore) {
    native = store
    super.init(sql: NativeSchema.readPositions, streams: streams, store: store)
  }

  override func row(_ row: Row) {
    guard let ordinal = row.integer(0), let epoch = row.integer(1), let last = row.integer(2)
    else { return }
    findings[Int(ordinal) - 1] = Finding(
      identity: epoch, highestID: last, tip: last, epoch: UInt32(truncatingIfNeeded: epoch))
  }

  override func finished() {
    native.lookAnswered(isInstalled: true)
    super.finished()
  }

  override func failed(_ failure: QueryFailure) {
    if failure.isAbsence { native.lookAnswered(isInstalled: false) }
    super.failed(failure)
  }
}
