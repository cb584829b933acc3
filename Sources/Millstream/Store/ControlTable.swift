import Logging

/// Reads what the application wants closed (`millstream.close`), when a notification says that there is
/// something, and after each time that notifications may have been lost.
final class ControlTable {
  /// These connections are to be closed, for this reason.
  var asked: (CloseTarget, _ reason: String?) -> Void = { _, _ in }

  private let reads: PostgresSession
  private let clock: Clock
  private let logger: Logger
  private var reading: ControlReading
  private var hasSaid = false

  init(reads: PostgresSession, clock: Clock, logger: Logger) {
    self.reads = reads
    self.clock = clock
    self.logger = logger
    reading = ControlReading(nowMs: clock.monotonicMs)
  }

  /// There may be something new.
  func wake() { reading.wanted() }

  /// The reading session is new.
  func sessionReady() { reading.sessionReady(timeline: reads.timeline) }

  /// Asks what has to be asked. Called before the loop sleeps.
  func flush() {
    guard reading.hasQuestion, reads.isReady,
      let question = reading.nextQuestion(nowMs: clock.monotonicMs)
    else { return }
    reads.submit(Query(sql: PostgresStore.limitsSQL), moreFollow: true)
    switch question {
    case .look: reads.submit(ControlLook(self))
    case .page(let transaction, let id): reads.submit(ControlPage(self, transaction, id))
    }
    reads.flush()
  }

  /// The role may read the table, or not; nil: it is not there.
  fileprivate func lookAnswered(_ mayRead: Bool?) {
    if mayRead == false && !hasSaid {
      hasSaid = true
      logger.warning(
        "this role may not read millstream.controls: millstream.close() does nothing here")
    }
    reading.lookEnded(mayRead: mayRead == true)
  }

  fileprivate func read(_ row: Row) {
    var control: ControlReading.Control?
    if let transaction = row.text(1), let id = row.integer(2), let ageMs = row.integer(3) {
      control = .init(transaction: transaction, id: id, ageMs: ageMs)
    }
    let isNew = reading.rowRead(
      control, oldestOpen: row.text(0) ?? "0", nowMs: clock.monotonicMs)
    guard isNew else { return }
    let reason = row.text(8)
    for target in targets(of: row) {
      logger.notice("the application closes connections", metadata: ["target": "\(target)"])
      asked(target, reason)
    }
  }

  private func targets(of row: Row) -> [CloseTarget] {
    if let id = row.bytes(4).flatMap({ ConnectionID(text: $0) }) { return [.connection(id)] }
    if let member = row.text(5) { return [.member(member)] }
    guard let name = row.text(6) else { return [] }
    let store = row.text(7)
    return [StoreKind.native, .pgmq].filter { store == nil || store == "\($0)" }
      .map { .stream(StreamIdentity(store: $0, name: name)) }
  }

  fileprivate func pageEnded() { reading.pageEnded(nowMs: clock.monotonicMs) }

  fileprivate func failed(_ failure: QueryFailure) {
    var isSessionLost = true
    if case .refused(_, let message) = failure {
      isSessionLost = false
      logger.warning("cannot read millstream.controls", metadata: ["error": "\(message)"])
    }
    reading.failed(isSessionLost: isSessionLost, nowMs: clock.monotonicMs)
  }
}

/// Asks whether the table is there.
private final class ControlLook: Query {
  private unowned let table: ControlTable
  private var mayRead: Bool?

  init(_ table: ControlTable) {
    self.table = table
    super.init(sql: ControlSchema.lookSQL)
  }

  override func row(_ row: Row) { mayRead = row.bool(0) }
  override func finished() { table.lookAnswered(mayRead) }
  override func failed(_ failure: QueryFailure) { table.failed(failure) }
}

/// Asks for a page of it.
private final class ControlPage: Query {
  private unowned let table: ControlTable

  init(_ table: ControlTable, _ transaction: String, _ id: Int64) {
    self.table = table
    super.init(sql: ControlSchema.readSQL, parameters: [transaction, String(id)])
  }

  override func row(_ row: Row) { table.read(row) }
  override func finished() { table.pageEnded() }
  override func failed(_ failure: QueryFailure) { table.failed(failure) }
}
