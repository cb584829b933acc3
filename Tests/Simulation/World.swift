import Logging

@testable import Millstream

/// Everything at once, in an order that a seed chooses: the real dispatcher, stores, logs, writer and
/// heartbeat on simulated time, sockets and Postgres.
final class World {
  let seed: UInt64
  var random: SeededGenerator
  let postgres = SimulatedPostgres()
  let reads: SimulatedSession
  let listens: SimulatedSession
  /// Nil: the loop is the only one.
  let shared: SharedListening?
  let loop: EventLoop
  let writer: Writer
  let dispatcher: Dispatcher
  let heartbeat: Heartbeat
  let stores: [MessageStore]
  let configuration: Configuration
  let limits: Dispatcher.Limits
  let habit: Habit
  let closing: Closing
  /// What is to be closed with the next slice.
  var unwanted: [Unwanted] = []

  /// A third of the worlds has clients with many streams on one connection, and more streams.
  let isWide: Bool
  /// In a seventh of them connections and streams are closed, and questions find tables gone.
  var isTurbulent: Bool { seed % 7 == 3 }
  var clients: [SimulatedClient] = []
  var carriers: [SimulatedCarrier] = []
  var goneCarriers: [SimulatedCarrier.Wishes] = []
  /// How many streams have come beside those that there were at first.
  var newcomers = 0
  /// What those have who left, or were cut off.
  var gone: [(queue: SimulatedQueue, cursor: SimulatedClient.Cursor?)] = []
  var ephemerals: [Ephemeral] = []
  /// The streams and backlogs that there were: at the end nothing may be left of them.
  var streams: [WeakReference] = []
  var backlogs: [WeakReference] = []
  var refusedMs: Int64 = 0
  /// How many questions were refused for something else than a lock.
  var refusedCount = 0
  /// Everybody is asked to leave.
  var isEnding = false
  /// When all was checked last: a step may take a while.
  var checkedMs: Int64 = 0
  /// How many ephemeral broadcasts had been dropped when that was looked at last.
  var droppedEphemerals: UInt64 = 0
  private(set) var steps = 0
  private(set) var violation: String?
  let isTraced: Bool
  private(set) var steplist: [(weight: Int, step: Step)] = []
  let firstDescriptor: Int32

  struct WeakReference {
    weak var object: AnyObject?
  }

  var holeWaitMs: Int64 { limits.holeWaitMs }

  /// `place`: which of the worlds that run at the same time it is.
  init(seed: UInt64, place: Int, isTraced: Bool = false) throws {
    self.seed = seed
    self.isTraced = isTraced
    firstDescriptor = Int32(place) * SocketTable.worldDescriptors
    isWide = seed % 3 == 2
    random = SeededGenerator(seed: seed)
    habit = Habit.chosen(isWide: isWide, &random)
    (configuration, limits) = World.settings(habit, &random)
    var logger = Logger(label: "simulation")
    logger.logLevel = .critical
    loop = try EventLoop()
    let clock = Clock(
      monotonicMs: { [postgres] in postgres.nowMs },
      unixSeconds: { [postgres] in postgres.nowMs / 1000 })
    writer = Writer(loop: loop, clock: clock, calls: SocketTable.calls)
    writer.patience = Patience(deadlineMs: configuration.writeDeadlineMs)
    reads = SimulatedSession(name: "read", loop: loop, postgres: postgres, logger: logger)
    listens = SimulatedSession(name: "listen", loop: loop, postgres: postgres, logger: logger)
    stores = [PGMQStore(reads: reads), NativeStore(reads: reads)]
    shared = try SharedListening(seed: seed, listens: listens)
    closing = Closing(writer: writer)
    dispatcher = Dispatcher(
      writer: writer, listener: shared?.source ?? Listener(session: listens), stores: stores,
      limits: limits, logger: logger)
    heartbeat = Heartbeat(loop: loop, writer: writer, configuration: configuration)
    connectParts()
    if isWide { makeManyQueues() } else { makeQueues() }
    steplist = Step.chosen(habit, isWide: isWide, isTurbulent: isTurbulent, &random)
  }

  private static func settings(
    _ habit: Habit, _ random: inout SeededGenerator
  ) -> (Configuration, Dispatcher.Limits) {
    var configuration = Configuration()
    configuration.heartbeatMs = 1_000
    configuration.writeDeadlineMs = 3_000
    configuration.idleTimeoutMs = random.once(in: 4) ? 6_000 : 0
    var limits = Dispatcher.Limits()
    limits.logBytes = random.pick([1_024, 2_048, 8_192, 65_536])!
    limits.safetyPollMs = 800
    limits.holeWaitMs = 400
    limits.lingerMs = 600
    limits.turnsInSlice = random.pick([1, 2, 128])!
    limits.openPages = random.pick([1, 4])!
    limits.lingeringStreams = random.pick([1, 100])!
    habit.changes(&limits, &random)
    return (configuration, limits)
  }

  /// As `Instance` does it.
  private func connectParts() {
    reads.events.ready = { [unowned self] in
      for store in stores { store.sessionReady() }
      dispatcher.readsReady()
    }
    reads.events.lost = { [unowned self] in dispatcher.sessionLost() }
    heartbeat.openingIsOverdue = { [unowned self] in dispatcher.openingIsOverdue($0) }
    connectListener()
    reads.answered = { [unowned self] query, answer in
      trace("\(type(of: query)) \(query.parameters) is answered: \(answer.summary)")
      noteFirstRead(query, answer)
    }
    writer.audience = { SimulatedQueue.carries($0, $1) }
    postgres.isListened = { [unowned self] in listens.isReady && listens.channels.contains($0) }
  }

  private func noteFirstRead(_ query: Query, _ answer: SimulatedAnswer) {
    guard let stream = (query as? LogQuery)?.read.stream, stream.log.tip == 0,
      let first = answer.rows.first?.first ?? nil
    else { return }
    let queue = postgres.queue(stream.store, stream.storageName)
    queue?.current?.firstRead = Int64(first) ?? 0
  }

  private func makeQueues() {
    for number in 0..<random.number(1..<4) {
      makeQueue(number, isNative: random.once(in: 3))
    }
  }

  func makeQueue(_ number: Int, isNative: Bool) {
    let queue = SimulatedQueue(store: isNative ? .native : .pgmq, name: "q\(number)")
    queue.throttleMs = habit.throttleMs(&random)
    queue.hidesSequence = !isNative && random.once(in: 12)
    postgres.add(queue)
    if !isNative && !random.once(in: 3) { postgres.create(queue) }
  }

  /// Whoever has a socket.
  var peers: [SimulatedPeer] { clients + carriers }

  /// Whoever has a stream.
  var judges: [SimulatedClient] { clients + carriers.flatMap(\.lanes) }

  func fails(_ reason: String) {
    if violation == nil {
      violation = "seed \(seed), step \(steps): \(reason)"
      trace("VIOLATION \(reason)")
    }
  }

  func trace(_ text: @autoclosure () -> String) {
    if isTraced { print("\(steps) @\(postgres.nowMs - 1_000_000): \(text())") }
  }

  // MARK: Running

  /// One step of the story, whatever it is, and what has to hold after it.
  func step() {
    steps += 1
    var rest = random.number(0..<steplist.reduce(0) { $0 + $1.weight })
    for entry in steplist {
      rest -= entry.weight
      guard rest < 0 else { continue }
      take(entry.step)
      break
    }
    if !random.once(in: 3) { turn() }
    shared?.step()
    check()
  }

  /// One iteration of the loop comes to its end.
  func turn() {
    _ = runSlice()
  }

  /// Says whether there is more to do at once.
  func runSlice() -> Bool {
    if !unwanted.isEmpty { closeSlice() }
    return dispatcher.runSlice()
  }

  func run(steps count: Int) {
    if !random.once(in: 4) { reconnect() }
    for _ in 0..<count where violation == nil { step() }
    if violation == nil { comeToRest() }
    if violation == nil { end() }
  }

  func reconnect() {
    listens.connect()
    reads.connect()
  }

  /// The faults are over: within a bounded time everybody has everything.
  private func comeToRest() {
    trace("no more faults")
    for transaction in postgres.transactions { finish(transaction) }
    for client in peers {
      client.socket.room = nil
      client.socket.isRagged = false
    }
    if habit == .prompt { bePrompt() }
    var missing: String? = "nothing was asked"
    // With a log of a kilobyte it takes long to read two thousand messages.
    for round in 0..<600 where missing != nil && violation == nil {
      steps += 1
      reconnect()
      calm(ticks: 2)
      check()
      if round % 5 == 4 { missing = firstMissing(for: \.isOpen) }
    }
    if let missing { fails(missing) }
    for _ in 0..<10 where violation == nil {
      calm(ticks: 2)
      check()
    }
    if let missing = firstMissing(for: \.isOpen) { fails(missing) }
  }

  /// What the first of `those` lacks who lacks something.
  func firstMissing(for those: (SimulatedPeer) -> Bool) -> String? {
    for peer in peers where those(peer) {
      if let missing = peer.missing() { return "client \(peer.id) \(missing)" }
    }
    return nil
  }

  /// A hundred milliseconds without a fault: whatever is asked is answered.
  func calm(ticks: Int) {
    for _ in 0..<ticks {
      tick()
      for _ in 0..<4 {
        deliverNotifications(.max)
        shared?.passOn()
        while reads.hasUnexecuted { reads.execute() }
        while listens.hasUnexecuted { listens.execute() }
        while reads.hasAnswers { reads.answer() }
        while listens.hasAnswers { listens.answer() }
        shared?.passOn()
        serveSockets()
        for _ in 0..<8 where runSlice() {}
        if reads.openCount + listens.openCount + postgres.notifications.count == 0 { break }
      }
    }
  }

  func tick() {
    postgres.nowMs += Heartbeat.tickMs
    dispatcher.tick(intervalMs: Heartbeat.tickMs)
    heartbeat.tick()
  }
}
