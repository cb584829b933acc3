@testable import Millstream

/// What can happen next.
enum Step: CaseIterable {
  case publish, burst, begin, work, savepoint, prepare, commit, rollBack, release
  case remove, retain, purge, drop, create, rewind
  case sendEphemeral, deliver, lose, double
  case execute, answer, refuse, breakReads, breakListens, reconnectReads, reconnectListens
  case connect, comeBack, stall, drain, hangUp, serve
  case pass, calm, absence, lateness, turn
  // What only happens where there are clients with many streams.
  case connectMany, comeBackWithMany, stallMany, drainMany, hangUpMany
  case publishEverywhere, publishLarge, rebirth, appear, suspense
  // What only happens where there is turbulence.
  case close

  private var weight: Int {
    switch self {
    case .publish, .execute, .answer: 12
    case .deliver, .work, .pass: 8
    case .connect, .commit, .serve, .reconnectReads, .reconnectListens: 6
    case .begin, .drain, .turn, .release: 5
    case .stall, .comeBack, .sendEphemeral, .rollBack, .calm, .create: 3
    case .burst, .hangUp, .breakReads: 2
    case .savepoint, .prepare, .remove, .retain, .purge, .drop, .rewind, .lose, .double, .refuse,
      .breakListens, .absence, .lateness, .publishLarge, .rebirth:
      1
    case .connectMany, .drainMany: 6
    case .comeBackWithMany, .stallMany, .publishEverywhere, .appear: 4
    case .hangUpMany, .suspense, .close: 2
    }
  }

  /// What nothing would go on without.
  private var isNeeded: Bool {
    switch self {
    case .execute, .answer, .deliver, .connect, .serve, .reconnectReads, .reconnectListens, .drain,
      .turn, .commit, .release, .create, .pass, .publish, .connectMany, .drainMany,
      .comeBackWithMany, .close:
      true
    default: false
    }
  }

  private var isOfWideWorlds: Bool {
    switch self {
    case .connectMany, .comeBackWithMany, .stallMany, .drainMany, .hangUpMany, .publishEverywhere,
      .publishLarge, .rebirth, .appear, .suspense:
      true
    default: false
    }
  }

  /// Each world has its own habits: some things never happen in it, and some often.
  static func chosen(
    _ habit: Habit, isWide: Bool, isTurbulent: Bool, _ random: inout SeededGenerator
  ) -> [(weight: Int, step: Step)] {
    let possible = allCases.filter {
      (isWide || !$0.isOfWideWorlds) && (isTurbulent || $0 != .close)
    }
    return possible.map { step in
      let factor = random.pick(step.isNeeded ? [1, 2, 4] : [0, 0, 1, 2, 6])!
      return (step.weight * (habit.factor(step) ?? factor), step)
    }
  }
}

extension World {
  func take(_ step: Step) {
    switch step {
    case .publish, .burst, .begin, .work, .savepoint, .prepare, .commit, .rollBack, .release:
      takeTransaction(step)
    case .remove, .retain, .purge, .drop, .create, .rewind: takeTable(step)
    case .sendEphemeral, .deliver, .lose, .double: takeNotification(step)
    case .execute, .answer, .refuse, .breakReads, .breakListens, .reconnectReads,
      .reconnectListens:
      takeSession(step)
    case .connect, .comeBack, .stall, .drain, .hangUp, .serve: takeClient(step)
    case .pass: passTime()
    case .calm: if habit == .prompt { bePrompt() } else { calm(ticks: random.number(1..<12)) }
    case .absence: beAbsent()
    case .lateness: beLate()
    case .connectMany, .comeBackWithMany, .stallMany, .drainMany, .hangUpMany: takeCarrier(step)
    case .publishEverywhere: publishEverywhere()
    case .publishLarge: if let queue = random.pick(publishable) { publishLarge(to: queue) }
    case .rebirth: if random.once(in: 2) { beReborn() } else { beRebornUnopened() }
    case .appear: appear()
    case .suspense: beInSuspense()
    case .close: closeSomething()
    case .turn: while runSlice() && random.next() % 4 > 0 {}
    }
  }

  /// Some time goes by; what is not answered for too long breaks the session.
  private func passTime() {
    let ticks = random.number(1..<8)
    trace("\(ticks * 50) ms pass")
    for _ in 0..<ticks {
      tick()
      if random.once(in: 2) { turn() }
    }
    if let oldest = reads.oldestMs, postgres.nowMs - oldest > 1_500 { takeSession(.breakReads) }
    if let oldest = listens.oldestMs, postgres.nowMs - oldest > 1_500 { takeSession(.breakListens) }
  }

  /// Nothing is lost, so after a while without a fault nobody lacks anything. Of very many streams each may
  /// have to wait for its turn.
  func bePrompt() {
    for transaction in postgres.transactions { finish(transaction) }
    reconnect()
    var rounds = postgres.queues.count < 100 ? 1 : 60
    repeat {
      calm(ticks: 40)
      check()
      rounds -= 1
    } while rounds > 0 && firstMissing(for: \.takesAll) != nil
    if let missing = firstMissing(for: \.takesAll) { fails("\(missing), and all is calm") }
  }

  /// A message comes after it was given up, while clients stand in the middle of pages without it.
  private func beLate() {
    let queues = publishable.filter { $0.store == .pgmq }
    guard open.count < 5, let queue = random.pick(queues), let current = queue.current else {
      return
    }
    let transaction = postgres.begin()
    publish(to: queue, bytes: 20, in: transaction)
    publishAtOnce(random.number(1..<4), to: queue)
    calm(ticks: 12)
    publishAtOnce(random.number(20..<60), to: queue)
    calm(ticks: 2)
    for _ in 0..<2 {
      connect(to: queue, SimulatedClient.Cursor(id: 0, text: "0", incarnation: current))
      clients.last?.socket.hasStalled = true
      clients.last?.socket.room = random.number(200..<1_500)
    }
    calm(ticks: 3)
    commit(transaction)
    releaseVisible()
    calm(ticks: 12)
  }

  /// The reading session is away for so long that retention takes some of what comes meanwhile.
  private func beAbsent() {
    guard let queue = random.pick(publishable), queue.current != nil else { return }
    takeSession(.breakReads)
    publishAtOnce(random.number(1..<4), to: queue)
    passWithoutReads(ticks: 84)
    publishAtOnce(random.number(0..<3), to: queue)
    if let current = queue.current { retain(current) }
  }

  private func passWithoutReads(ticks: Int) {
    trace("\(ticks * 50) ms pass, and nobody reads")
    for _ in 0..<ticks {
      tick()
      turn()
    }
  }

  // MARK: Postgres

  var publishable: [SimulatedQueue] {
    postgres.queues.filter { ($0.store == .native || $0.current != nil) && !$0.isRewound }
  }

  private var open: [SimulatedTransaction] { postgres.transactions.filter { !$0.isVisible } }

  private func takeTransaction(_ step: Step) {
    switch step {
    case .publish: publishAtOnce(random.number(1..<4))
    case .burst: publishAtOnce(random.once(in: 12) ? 520 : random.number(20..<80))
    case .begin: if open.count < 5 { _ = postgres.begin() }
    case .work: work()
    case .savepoint:
      if let transaction = random.pick(open) {
        let count = transaction.records.count
        postgres.rollBack(transaction, toSavepoint: random.number(0..<(count + 1)))
      }
    case .prepare:
      for transaction in open where !random.once(in: 3) { prepare(transaction) }
    case .commit:
      if let transaction = random.pick(open) { commit(transaction) }
    case .rollBack:
      if let transaction = random.pick(open) {
        trace("rolls back \(transaction.name)")
        postgres.rollBack(transaction)
      }
    default: releaseVisible()
    }
  }

  private func prepare(_ transaction: SimulatedTransaction) {
    postgres.prepare(transaction)
    trace("prepared is \(transaction.name)")
  }

  private func releaseVisible() {
    for transaction in postgres.transactions where transaction.isVisible {
      postgres.release(transaction)
    }
  }

  private func publishAtOnce(_ count: Int) {
    guard let queue = random.pick(publishable) else { return }
    publishAtOnce(count, to: queue)
  }

  func publishAtOnce(_ count: Int, to queue: SimulatedQueue) {
    let bytes = random.number(0..<(random.once(in: 5) ? 1_500 : 100))
    publishAtOnce(count, to: queue, bytes: bytes)
  }

  func publishAtOnce(_ count: Int, to queue: SimulatedQueue, bytes: Int) {
    let transaction = postgres.begin()
    for _ in 0..<count { publish(to: queue, bytes: count > 100 ? 10 : bytes, in: transaction) }
    commit(transaction)
    if !random.once(in: 4) { postgres.release(transaction) }
  }

  func publish(to queue: SimulatedQueue, bytes: Int, in transaction: SimulatedTransaction) {
    let record = postgres.publish(to: queue, bytes: bytes, in: transaction)
    if random.once(in: 10) { record.visibleTo = random.pick(["even", "odd"]) }
    if random.once(in: 12) { record.exclude = random.pick(clients)?.id }
  }

  private func work() {
    guard let transaction = random.pick(open), !transaction.isPrepared,
      let queue = random.pick(publishable)
    else { return }
    if random.once(in: 4) {
      trace("\(transaction.name) locks \(queue.name)")
      return postgres.lock(queue, in: transaction)
    }
    for _ in 0..<random.number(1..<4) { publish(to: queue, bytes: 20, in: transaction) }
    trace("\(transaction.name) has \(transaction.records.map { "m\($0.serial)=\($0.id)" })")
  }

  /// One that is prepared may be any of those that were waited for, and is given up with them.
  private func isGivenUpEarly(_ transaction: SimulatedTransaction) -> Bool {
    transaction.isPrepared
      && dispatcher.registry.streams.contains { $0.order.givenUp.contains(transaction.name) }
  }

  func isGivenUpEarly(_ record: MessageRecord) -> Bool {
    postgres.transactions.contains { transaction in
      isGivenUpEarly(transaction) && transaction.records.contains { $0 === record }
    }
  }

  func commit(_ transaction: SimulatedTransaction) {
    if isGivenUpEarly(transaction) { for record in transaction.records { record.mayBeLate = true } }
    let committed = postgres.commit(transaction)
    trace(
      "commits \(transaction.name): "
        + committed.prefix(9).map { "\($0.queue.name):m\($0.serial)=\($0.id)" }.joined(
          separator: " "))
    for record in committed {
      if let early = record.passedEarly {
        fails("m\(record.serial), id \(record.id), was passed before its time by \(early)")
      }
    }
  }

  func finish(_ transaction: SimulatedTransaction) {
    if transaction.isVisible { return postgres.release(transaction) }
    if random.once(in: 3) { return postgres.rollBack(transaction) }
    commit(transaction)
    postgres.release(transaction)
  }

  private func takeTable(_ step: Step) {
    guard let queue = random.pick(postgres.queues) else { return }
    if step == .create, queue.store == .pgmq, queue.current == nil {
      trace("creates \(queue.name)")
      return postgres.create(queue)
    }
    guard let current = queue.current else { return }
    switch step {
    case .remove:
      if let record = random.pick(current.visible(after: 0, limit: 20)) {
        trace("removes m\(record.serial)=\(record.id)")
        postgres.remove([record], mustBeTold: false)
      }
    case .retain: retain(current)
    case .purge: postgres.remove(current.visible(after: 0, limit: .max), mustBeTold: false)
    default:
      guard !postgres.isLocked(queue), !queue.hidesSequence, !queue.isRewound else { return }
      if step == .drop { drop(queue) } else if step == .rewind { rewind(queue) }
    }
  }

  /// Removes what everybody has had the time to read, unless the session was away.
  func retain(_ incarnation: Incarnation) {
    let visible = incarnation.visible(after: 0, limit: .max)
    let old = visible.prefix { postgres.nowMs - $0.committedMs > 4_000 }
    let gone = old.prefix(random.number(0..<(old.count + 1)))
    trace("retains all but \(gone.map { "m\($0.serial)=\($0.id)" })")
    postgres.remove(Array(gone), mustBeTold: true)
  }

  func drop(_ queue: SimulatedQueue) {
    trace("drops \(queue.name)")
    postgres.drop(queue)
  }

  /// Where the ids that it had are passed before anybody looks, nobody can know that they are others.
  private func rewind(_ queue: SimulatedQueue) {
    guard queue.store == .pgmq, postgres.nowMs - queue.rewoundMs > 3_000,
      reads.openCount == 0
    else { return }
    queue.rewoundMs = postgres.nowMs
    trace("rewinds \(queue.name)")
    postgres.rewind(queue)
    queue.isRewound = true
    notices(queue)
    queue.hasUnnoticedRewind = !queue.isRewound
  }

  /// Whether the streamer has found out, or has nothing that it could be wrong about.
  func notices(_ queue: SimulatedQueue) {
    guard queue.isRewound else { return }
    let name = Array(queue.name.utf8)
    let stream = name.withUnsafeBytes { dispatcher.registry.stream(queue.store, $0) }
    if let stream, !stream.reader.isKnown || stream.log.tip > 0 { return }
    queue.isRewound = false
  }

  // MARK: Notifications

  private func takeNotification(_ step: Step) {
    switch step {
    case .sendEphemeral: if let queue = random.pick(postgres.queues) { sendEphemeral(to: queue) }
    case .deliver: deliverNotifications(random.number(1..<6))
    case .lose:
      trace("loses a notification")
      if !postgres.notifications.isEmpty { postgres.notifications.removeFirst() }
    default:
      if let first = postgres.notifications.first, !isEphemeral(first) {
        postgres.notifications.insert(first, at: 0)
      }
    }
  }

  private func isEphemeral(_ notification: SimulatedPostgres.Notification) -> Bool {
    ephemeral(notification) != nil
  }

  private func ephemeral(_ notification: SimulatedPostgres.Notification) -> Ephemeral? {
    ephemerals.first { $0.step == nil && $0.payload == notification.payload }
  }

  func sendEphemeral(to queue: SimulatedQueue) {
    let label = random.once(in: 4) ? random.pick(["even", "odd"]) : nil
    let ephemeral = Ephemeral(number: ephemerals.count, queue: queue, visibleTo: label)
    ephemerals.append(ephemeral)
    guard postgres.isListened(queue.channel) else { return }
    postgres.notifications.append(
      SimulatedPostgres.Notification(channel: queue.channel, payload: ephemeral.payload))
  }

  func deliverNotifications(_ count: Int) {
    for _ in 0..<min(count, postgres.notifications.count) {
      guard listens.isReady else { return }
      let notification = postgres.notifications.removeFirst()
      trace("notifies \(notification.payload.prefix(60))")
      let ephemeral = ephemeral(notification)
      ephemeral?.heard(step: steps)
      let dropped = writer.statistics.droppedEphemerals
      notification.channel.utf8.withContiguousStorageIfAvailable { channel in
        Array(notification.payload.utf8).withUnsafeBytes {
          listens.events.notified(UnsafeRawBufferPointer(channel), $0)
        }
      }
      // A log of a kilobyte or two is full before anybody's turn has come.
      guard let ephemeral, limits.logBytes >= 8_192,
        writer.statistics.droppedEphemerals == dropped
      else { continue }
      ephemeral.owed.formUnion(receptive(to: ephemeral.queue))
    }
  }

  // MARK: Sessions

  private func takeSession(_ step: Step) {
    let session = random.once(in: 4) ? listens : reads
    switch step {
    case .execute: for _ in 0..<random.number(1..<4) { session.execute() }
    case .answer: for _ in 0..<random.number(1..<4) { session.answer() }
    case .refuse:
      guard postgres.nowMs - refusedMs > 3_000, reads.hasUnexecuted else { return }
      trace("refuses a query")
      refusedMs = postgres.nowMs
      let isGone = isTurbulent && refusedMs % 100 == 0
      if isGone { refusedCount += 1 }
      reads.execute(refusal: isGone ? "XX000" : "55P03")
    case .breakReads:
      trace("the reading session breaks")
      reads.breakOff()
    case .breakListens:
      trace("the listening session breaks")
      listens.breakOff()
    case .reconnectReads: reads.connect()
    default: listens.connect()
    }
  }
}
