import Logging

/// One streamer on one loop: wires the parts together and owns their lifecycle.
///
/// Everything is called on the loop's thread. Nothing runs before `start`. Whoever made it keeps it until it
/// has ended: after the completion of ``shutdown(withinMs:completion:)``, or after ``abandon()``.
public final class Instance {
  private enum State { case made, started, shuttingDown, ended }

  package private(set) var configuration: Configuration
  let parts: Parts
  private let loop: EventLoop
  private let logger: Logger
  /// When what is left to say is not waited for any longer; nil: there still are connections.
  var lastWordsEndMs: Int64?
  private var state = State.made
  private var phases: LoopPhases?
  private var drain: Drain?
  private var farewell: Farewell?
  let closing: Closing
  private let controls: ControlTable
  private var completions: [() -> Void] = []
  private lazy var timer = TimerWatcher(loop: loop) { [unowned self] in tick() }
  private static let tickMs: Int64 = 50
  private var lag = LoopLag(intervalMs: Instance.tickMs)
  /// Nil: nobody wants to know.
  private(set) var queueUsage: QueueUsage?
  /// Nil: another instance of the process says it, or there is nothing in Postgres.
  private(set) var storeAccess: StoreAccess?
  /// Nil: nobody looks.
  var streamWalk: StreamWalk?

  /// An instance with the parts that `configuration` describes. `source`: where the messages of host
  /// streams are; nil: there are none.
  ///
  /// - Throws: what is wrong with a connection string.
  public convenience init(
    loop: EventLoop, configuration: Configuration, source: MessageSource? = nil, logger: Logger,
    clock: Clock = .system
  ) throws(ConfigurationError) {
    let parts = try Parts(
      loop: loop, configuration: configuration, source: source, logger: logger, clock: clock)
    self.init(loop: loop, configuration: configuration, logger: logger, parts: parts)
  }

  /// One of several instances of a process, on a loop and a thread each, with one LISTEN session: the
  /// `hub`'s. The first has to be on the hub's own loop.
  ///
  /// - Throws: what is wrong with a connection string.
  package convenience init(
    loop: EventLoop, configuration: Configuration, hub: ListenerHub?, logger: Logger
  ) throws(ConfigurationError) {
    let parts = try Parts(
      loop: loop, configuration: configuration, hub: hub, logger: logger, clock: .system)
    self.init(loop: loop, configuration: configuration, logger: logger, parts: parts)
  }

  init(loop: EventLoop, configuration: Configuration, logger: Logger, parts: Parts) {
    self.loop = loop
    self.configuration = configuration
    self.logger = logger
    self.parts = parts
    closing = Closing(writer: parts.writer)
    controls = ControlTable(reads: parts.reads, clock: parts.writer.clock, logger: logger)
  }

  /// What has been done since the instance was made.
  public var statistics: Statistics { parts.writer.statistics }

  /// The application could not be asked, or gave no answer that counts.
  package func authorizationFailed() { parts.writer.statistics.failedAuthorizations += 1 }

  /// Whether it takes connections: it was started and is not shutting down.
  public var isRunning: Bool { state == .started }

  /// Whether all is over.
  public var isEnded: Bool { state == .ended }

  /// Whether a descriptor is a client's that was handed over.
  public func isTaken(_ descriptor: Int32) -> Bool {
    parts.writer.descriptors.contains(descriptor)
  }

  /// Whether it has a store of this kind.
  public func serves(_ store: StoreKind) -> Bool { parts.dispatcher.stores[store] != nil }

  // MARK: Lifecycle

  /// Starts the sessions and the timers. A second call does nothing.
  public func start() {
    guard state == .made else { return }
    state = .started
    connectParts()
    makeStoreAccess()
    phases = LoopPhases(loop: loop) { [unowned self] in runSlice() }
    if !configuration.stores.isEmpty {
      parts.listener.start()
      parts.reads.start()
    }
    startWriting()
    parts.heartbeat.start()
    timer.repeatFiring(everyMs: Instance.tickMs)
  }

  private func connectParts() {
    parts.reads.events.ready = { [unowned self] in readsReady() }
    parts.reads.events.lost = { [unowned self] in parts.dispatcher.sessionLost() }
    parts.heartbeat.openingIsOverdue = { [unowned self] in
      parts.dispatcher.openingIsOverdue($0)
    }
    parts.listener.lost = { [unowned self] in parts.dispatcher.sessionLost() }
    parts.listener.listening = { [unowned self] in
      parts.dispatcher.listening(on: $0)
      if $0.contains(ControlSchema.channel) { controls.wake() }
    }
    parts.listener.notified = { [unowned self] in
      parts.dispatcher.notified(channel: $0, payload: $1)
    }
    parts.listener.dropped = { [unowned self] in notificationsDropped($0) }
    if configuration.stores.contains(.native) { parts.listener.add(NativeSchema.channel) }
    hearControls()
  }

  /// Of several loops, which all read the same database, the one with the LISTEN session looks.
  private func makeStoreAccess() {
    let kinds = configuration.stores.intersection(StoreKind.inPostgres)
    guard !kinds.isEmpty, parts.listener.ownSession != nil else { return }
    storeAccess = StoreAccess(
      kinds, reads: parts.reads, clock: parts.writer.clock, logger: logger)
  }

  /// What the application wants closed; its table is in the schema of the native store, and for queues, too.
  private func hearControls() {
    if configuration.stores.isDisjoint(with: StoreKind.inPostgres) { return }
    controls.asked = { [unowned self] in close($0, reason: $1) }
    parts.dispatcher.controlNotified = { [unowned self] in controls.wake() }
    parts.listener.add(ControlSchema.channel)
  }

  private func notificationsDropped(_ count: Int) {
    parts.writer.statistics.droppedNotifications += UInt64(count)
    logger.warning(
      "a loop was held up for too long; looking at everything",
      metadata: ["dropped_notifications": "\(count)"])
  }

  private func readsReady() {
    for store in parts.stores { store.sessionReady() }
    parts.dispatcher.readsReady(timeline: parts.reads.timeline)
    controls.sessionReady()
    storeAccess?.sessionReady()
  }

  /// Whether work was put off at the end of the last iteration, for the next one.
  package private(set) var hasMore = false

  private func runSlice() -> Bool {
    hasMore = doSlice()
    return hasMore
  }

  private func doSlice() -> Bool {
    let isDraining = runDrain()
    if let farewell, farewell.hasMore { farewell.runSlice() }
    if closing.hasMore { closing.runSlice() }
    if isRunning { controls.flush() }
    let hasMore = parts.dispatcher.runSlice() || isDraining || closing.hasMore
    guard state == .shuttingDown, parts.writer.table.count == 0 else {
      return hasMore || farewell?.hasMore == true
    }
    if lastWordsAreSaid() { end() }
    return false
  }

  /// Whether more are to be told at once; the others have their time, which `tick` wakes for.
  private func runDrain() -> Bool {
    guard let drain else { return false }
    let hasMore = drain.runSlice()
    if drain.isOver {
      self.drain = nil
      drain.complete(true)
    }
    return hasMore
  }

  private func tick() {
    measure()
    writeOut(nowMs: parts.writer.clock.monotonicMs)
    if let farewell { return farewell.check() }
    parts.dispatcher.tick(intervalMs: Instance.tickMs)
  }

  private func measure() {
    let nowUs = parts.writer.clock.monotonicUs
    if let lateUs = lag.fired(nowUs: nowUs) {
      parts.writer.statistics.loopLag.observe(us: lateUs)
    }
    parts.dispatcher.endLog?.secondMayBeOver(nowUs / 1000)
    queueUsage?.tick(nowUs / 1000, parts.reads)
    storeAccess?.tick(nowUs / 1000)
    if streamWalk != nil { walkStreams(nowMs: nowUs / 1000) }
  }

  /// Measures from now on what costs a query: how long messages take from their commit (one a second), and
  /// if `ofServer`, what is the same for all instances on the server (once a minute).
  package func startMeasuring(ofServer: Bool) {
    parts.dispatcher.commitProbe = CommitProbe()
    if ofServer { queueUsage = QueueUsage() }
  }

  /// Takes limits that may change while it runs: how many connections there may be, and what they are told
  /// to wait before they reconnect. Those who are connected stay.
  package func setLimits(maxConnections: Int, retryMs: Int64) {
    configuration.maxConnections = maxConnections
    configuration.retryMs = retryMs
    parts.dispatcher.limits.lanes = Instance.lanes(of: configuration)
  }

  /// Says goodbye to the connections one after the other, evenly over `overMs` milliseconds, while everything
  /// goes on for those who are still there; whoever comes meanwhile is taken in as ever. Then, or earlier,
  /// call `shutdown`, which tells the rest. A further call meanwhile only adds its completion.
  ///
  /// `completion` runs once, on the loop: with true when that is done, or there was nobody; with false when
  /// the instance has ended before, ahead of what `shutdown` completes with, or does not run.
  public func drain(overMs: Int64, completion: @escaping (_ isComplete: Bool) -> Void) {
    guard state == .started else { return completion(false) }
    let drain = drain ?? Drain(writer: parts.writer, count: connectionCount, overMs: overMs)
    drain.add(completion)
    self.drain = drain
  }

  /// Stops in this order: heartbeat, listener, dispatcher; then every connection is told and closed,
  /// each within `withinMs` milliseconds (nil: the write deadline). Returns at once; `completion` runs on
  /// the loop when all is done. A further call only adds its completion.
  public func shutdown(withinMs: Int64? = nil, completion: @escaping () -> Void = {}) {
    switch state {
    case .ended: return completion()
    case .shuttingDown: completions.append(completion)
    case .made:
      state = .ended
      completion()
    case .started:
      state = .shuttingDown
      leaveDrain()
      completions.append(completion)
      stopParts()
      farewell = Farewell(
        writer: parts.writer, deadlineMs: withinMs ?? configuration.writeDeadlineMs)
    }
  }

  /// It is told so at the end, before those who wait for that.
  private func leaveDrain() {
    guard let drain else { return }
    self.drain = nil
    completions.append { drain.complete(false) }
  }

  private func stopParts() {
    parts.heartbeat.stop()
    parts.listener.stop()
    parts.dispatcher.stop()
    parts.reads.stop()
    for store in parts.stores { (store as? HostStore)?.end() }
  }

  /// Closes everything at once and without a word. Nothing of it is in the loop afterwards, which may go.
  public func abandon() {
    switch state {
    case .ended: return
    case .made: state = .ended
    case .started, .shuttingDown:
      stopParts()
      leaveDrain()
      state = .shuttingDown
      for slot in 0..<parts.writer.table.slotCount {
        guard let connection = parts.writer.table.connection(slot) else { continue }
        parts.writer.close(connection, .shutdown)
      }
      while parts.writer.hasClosed { parts.writer.reap { parts.dispatcher.leave($0) } }
      end()
    }
  }

  private func end() {
    state = .ended
    parts.writes?.stop()
    timer.stop()
    phases?.stop()
    parts.dispatcher.endLog?.tellLeftOut()
    let waiting = completions
    completions = []
    for completion in waiting { completion() }
  }
}
