@testable import Millstream

/// The server: queues, native streams, open transactions and notifications. Everything in it happens
/// at once; what happens in which order is the world's business.
final class SimulatedPostgres {
  struct Notification: Equatable {
    var channel: String
    var payload: String
  }

  var nowMs: Int64 = 1_000_000
  private(set) var queues: [SimulatedQueue] = []
  private var queuesByName: [StoreKind: [[UInt8]: SimulatedQueue]] = [:]
  private(set) var records: [MessageRecord] = []
  private(set) var transactions: [SimulatedTransaction] = []
  /// What was committed and has not reached the listening session.
  var notifications: [Notification] = []
  var isListened: (String) -> Bool = { _ in false }
  private var lastIdentity: Int64 = 1_000
  private var lastTransaction = 0
  private(set) var commitCount = 0

  func add(_ queue: SimulatedQueue) {
    queues.append(queue)
    queuesByName[queue.store, default: [:]][Array(queue.name.utf8)] = queue
  }

  func queue(_ store: StoreKind, _ name: [UInt8]) -> SimulatedQueue? {
    queuesByName[store]?[name]
  }

  // MARK: Tables

  /// A table and a sequence, both new.
  func create(_ queue: SimulatedQueue) {
    lastIdentity += 2
    queue.current = Incarnation(
      number: queue.incarnations.count + 1, identity: lastIdentity,
      relation: queue.hidesSequence ? lastIdentity : lastIdentity + 1,
      epoch: queue.store == .native ? UInt32(lastIdentity) : nil)
  }

  /// Waits for those who have written to it, so it is not called while there are any.
  func drop(_ queue: SimulatedQueue) {
    remove(queue.current?.visible(after: 0, limit: .max) ?? [], mustBeTold: false)
    queue.current = nil
  }

  /// TRUNCATE … RESTART IDENTITY: the table stays the same.
  func rewind(_ queue: SimulatedQueue) {
    guard let old = queue.current else { return }
    remove(old.visible(after: 0, limit: .max), mustBeTold: false)
    queue.current = Incarnation(
      number: queue.incarnations.count + 1, identity: old.identity, relation: old.relation,
      epoch: nil)
  }

  func isLocked(_ queue: SimulatedQueue) -> Bool {
    guard let relation = queue.current?.relation else { return false }
    return transactions.contains { $0.lockedMs(relation) != nil }
      || transactions.contains { $0.outbox.contains { $0.queue === queue } }
  }

  func remove(_ gone: [MessageRecord], mustBeTold: Bool) {
    for record in gone {
      record.isRemoved = true
      record.mustBeTold = mustBeTold
    }
  }

  // MARK: Transactions

  func begin() -> SimulatedTransaction {
    lastTransaction += 1
    let name = "\(lastTransaction % 7 + 3)/\(lastTransaction)"
    let transaction = SimulatedTransaction(name: name, nowMs: nowMs)
    transactions.append(transaction)
    return transaction
  }

  /// The lock alone: between it and the id there may be anything.
  func lock(_ queue: SimulatedQueue, in transaction: SimulatedTransaction) {
    if let relation = queue.current?.relation, queue.store == .pgmq {
      transaction.lock(relation, nowMs: nowMs)
    }
  }

  /// `pgmq.send`, or `millstream.publish`.
  @discardableResult
  func publish(
    to queue: SimulatedQueue, bytes: Int, in transaction: SimulatedTransaction
  ) -> MessageRecord {
    let serial = records.count
    let text = "m\(serial) " + String(repeating: "x", count: bytes)
    let record = MessageRecord(serial: serial, queue: queue, text: text, nowMs: nowMs)
    record.enqueuedMs = transaction.startedMs
    records.append(record)
    if queue.store == .native {
      transaction.outbox.append(record)
      return record
    }
    guard let incarnation = queue.current else { preconditionFailure("there is no such queue") }
    transaction.lock(incarnation.relation, nowMs: nowMs)
    record.lockedMs = transaction.lockedMs(incarnation.relation) ?? nowMs
    giveID(record, of: incarnation)
    transaction.records.append(record)
    notify(queue, in: transaction)
    return record
  }

  private func giveID(_ record: MessageRecord, of incarnation: Incarnation) {
    record.incarnation = incarnation
    record.id = incarnation.lastID + 1
    incarnation.records.append(record)
  }

  /// Postgres folds what is the same within one transaction.
  private func notify(_ queue: SimulatedQueue, in transaction: SimulatedTransaction) {
    guard let throttleMs = queue.throttleMs, nowMs - queue.notifiedMs >= throttleMs else { return }
    queue.notifiedMs = nowMs
    let notification = Notification(channel: queue.channel, payload: "")
    if !transaction.notifications.contains(notification) {
      transaction.notifications.append(notification)
    }
  }

  /// Undoes what was inserted after the first `count`; the ids are gone and the lock stays.
  func rollBack(_ transaction: SimulatedTransaction, toSavepoint count: Int) {
    for record in transaction.records.dropFirst(count) { record.state = .rolledBack }
    transaction.records.removeLast(max(transaction.records.count - count, 0))
  }

  func rollBack(_ transaction: SimulatedTransaction) {
    for record in transaction.records + transaction.outbox { record.state = .rolledBack }
    release(transaction)
  }

  /// PREPARE TRANSACTION, which Postgres refuses where a notification is part of it.
  func prepare(_ transaction: SimulatedTransaction) {
    guard transaction.notifications.isEmpty, transaction.outbox.isEmpty else { return }
    if !transaction.isPrepared {
      transaction.name = "-1/\(transaction.name.dropFirst(2))"
    }
  }

  /// Everybody sees it, and only then are the locks let go.
  func commit(_ transaction: SimulatedTransaction) -> [MessageRecord] {
    for record in transaction.outbox { giveNativeID(record, count: transaction.outbox.count) }
    for record in transaction.outbox.filter({ isNoted($0, in: transaction) }) {
      noteNative(record, in: transaction)
    }
    let committed = transaction.records + transaction.outbox
    for record in committed {
      record.state = .committed
      record.committedMs = nowMs
      commitCount += 1
      record.commitNumber = commitCount
      excuse(above: record)
    }
    transaction.isVisible = true
    notifications += transaction.notifications.filter { isListened($0.channel) }
    return committed
  }

  /// With something left below, nobody can tell that what is missing was removed.
  private func excuse(above record: MessageRecord) {
    guard let incarnation = record.incarnation, record.id < incarnation.lastID else { return }
    for removed in incarnation.records[Int(record.id)...] { removed.mustBeTold = false }
  }

  func release(_ transaction: SimulatedTransaction) {
    transactions.removeAll { $0 === transaction }
  }

  // MARK: Native streams

  private func giveNativeID(_ record: MessageRecord, count: Int) {
    if record.queue.current == nil { create(record.queue) }
    if let incarnation = record.queue.current { giveID(record, of: incarnation) }
  }

  /// Of very many only the last is told.
  private func isNoted(_ record: MessageRecord, in transaction: SimulatedTransaction) -> Bool {
    transaction.outbox.count <= 64
      || record === transaction.outbox.last { $0.queue === record.queue }
  }

  private func noteNative(_ record: MessageRecord, in transaction: SimulatedTransaction) {
    let isWhole = transaction.outbox.count <= 64 && record.text.utf8.count < 2_000
    let data = isWhole ? #","d":"\#(record.text)""# + nativeAudience(of: record) : ""
    transaction.notifications.append(
      Notification(
        channel: NativeSchema.channel,
        payload:
          #"{"s":"\#(record.queue.name)","e":\#(record.incarnation?.epoch ?? 0),"i":\#(record.id)\#(data)}"#
      ))
  }

  private func nativeAudience(of record: MessageRecord) -> String {
    (record.visibleTo.map { #","v":"\#($0)""# } ?? "")
      + (record.exclude.map { #","x":"\#($0)""# } ?? "")
  }
}
