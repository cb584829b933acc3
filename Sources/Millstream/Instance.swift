import Logging

/// What a client asked for, once it is known who may: the part of a request that an instance needs. A
/// ``SubscriptionMaker`` makes it.
public struct Subscription {
  var store: StoreKind
  /// The name as the client knows it.
  var name: String
  /// What the store calls it.
  var storageName: [UInt8]
  /// The channels that wake this stream alone.
  var channels: [String]
  var cursor: CursorRequest
  /// The bytes that go before the first frame: the head of the response.
  var head: [UInt8]
  /// What its token says of the client.
  var context: ConnectionContext?
}

/// What became of a descriptor that was handed over. It is the instance's in every case.
public enum Registration: Equatable, Sendable {
  /// The connection is open, and known by this id.
  case registered(ConnectionID)
  /// The instance does not run (any more): the descriptor was closed.
  case dead
}

/// One streamer on one loop: wires the parts together and owns their lifecycle.
///
/// Everything is called on the loop's thread. Nothing runs before `start`. Whoever made it keeps it until it
/// has ended: after the completion of ``shutdown(withinMs:completion:)``, or after ``abandon()``.
public final class Instance {
  /// The parts of an instance. Tests hand in their own.
  struct Parts {
    var listener: NotificationSource
    var reads: PostgresSession
    var stores: [MessageStore]
    var writer: Writer
    var dispatcher: Dispatcher
    var heartbeat: Heartbeat
  }

  private enum State { case made, started, shuttingDown, ended }

  package let configuration: Configuration
  let parts: Parts
  private let loop: EventLoop
  private let logger: Logger
  private var state = State.made
  private var phases: LoopPhases?
  private var farewell: Farewell?
  private var completions: [() -> Void] = []
  private lazy var timer = TimerWatcher(loop: loop) { [unowned self] in tick() }
  private static let tickMs: Int64 = 50
  private var lag = LoopLag(intervalMs: Instance.tickMs)
  /// Nil: nobody wants to know.
  private(set) var queueUsage: QueueUsage?

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
  }

  /// What has been done since the instance was made.
  public var statistics: Statistics { parts.writer.statistics }

  /// The application could not be asked, or gave no answer that counts.
  package func authorizationFailed() { parts.writer.statistics.failedAuthorizations += 1 }

  /// How many connections there are.
  public var connectionCount: Int { parts.writer.table.count }

  /// Whether another connection is allowed. ``register(_:for:context:)`` does not ask.
  public var hasRoom: Bool { connectionCount < configuration.maxConnections }

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
    phases = LoopPhases(loop: loop) { [unowned self] in runSlice() }
    if !configuration.stores.isEmpty {
      parts.listener.start()
      parts.reads.start()
    }
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
    parts.listener.listening = { [unowned self] in parts.dispatcher.listening(on: $0) }
    parts.listener.notified = { [unowned self] in
      parts.dispatcher.notified(channel: $0, payload: $1)
    }
    parts.listener.dropped = { [unowned self] in notificationsDropped($0) }
    if configuration.stores.contains(.native) { parts.listener.add(NativeSchema.channel) }
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
  }

  /// Whether work was put off at the end of the last iteration, for the next one.
  package private(set) var hasMore = false

  private func runSlice() -> Bool {
    hasMore = doSlice()
    return hasMore
  }

  private func doSlice() -> Bool {
    if let farewell, farewell.hasMore { farewell.runSlice() }
    let hasMore = parts.dispatcher.runSlice()
    guard state == .shuttingDown, connectionCount == 0 else {
      return hasMore || farewell?.hasMore == true
    }
    end()
    return false
  }

  private func tick() {
    measure()
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
  }

  /// Measures from now on what costs a query: how long messages take from their commit (one a second), and
  /// if `ofServer`, what is the same for all instances on the server (once a minute).
  package func startMeasuring(ofServer: Bool) {
    parts.dispatcher.commitProbe = CommitProbe()
    if ofServer { queueUsage = QueueUsage() }
  }

  /// Takes over a client's connected, nonblocking socket that asks for `subscription`.
  ///
  /// Before `start` and after `shutdown` it is closed at once rather than stranded. `context`: what is
  /// known of the client. Ask ``hasRoom`` before; the store has to be one that it ``serves(_:)``.
  public func register(
    _ descriptor: Int32, for subscription: Subscription, context: ConnectionContext? = nil
  ) -> Registration {
    guard state == .started else {
      parts.writer.refuse(descriptor)
      return .dead
    }
    let connection = parts.writer.adopt(descriptor)
    if let context { parts.writer.setContext(context, of: connection) }
    let backlog = parts.writer.ensureBacklog(of: connection)
    backlog.opening = Backlog.Opening(
      head: subscription.head, name: subscription.name, cursor: subscription.cursor,
      retryMs: jittered(configuration.retryMs))
    let stream = parts.dispatcher.stream(
      subscription.store, subscription.storageName, name: subscription.name,
      channels: subscription.channels)
    parts.dispatcher.subscribe(connection, to: stream)
    return .registered(connection.pointee.id)
  }

  /// Clients that were cut off together shall not come back together.
  private func jittered(_ retryMs: Int64) -> Int64 {
    retryMs / 2 + Int64.random(in: 0...max(retryMs, 0))
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
      completions.append(completion)
      stopParts()
      farewell = Farewell(
        writer: parts.writer, deadlineMs: withinMs ?? configuration.writeDeadlineMs)
    }
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
    timer.stop()
    phases?.stop()
    parts.dispatcher.endLog?.tellLeftOut()
    let waiting = completions
    completions = []
    for completion in waiting { completion() }
  }
}

extension Instance.Parts {
  init(
    loop: EventLoop, configuration: Configuration, source: MessageSource? = nil,
    hub: ListenerHub? = nil, logger: Logger, clock: Clock
  ) throws(ConfigurationError) {
    let limits = PostgresSession.Limits(healthCheckMs: configuration.healthCheckMs)
    let reads = PostgresSession(
      name: "read", loop: loop, settings: try ConnectionString(configuration.database),
      limits: limits, logger: logger)
    self.reads = reads
    listener =
      if let hub {
        hub.source(for: loop)
      } else {
        Listener(session: try .listening(configuration, on: loop, logger: logger))
      }
    stores =
      configuration.stores.intersection(StoreKind.inPostgres).map { kind -> MessageStore in
        kind == .pgmq ? PGMQStore(reads: reads) : NativeStore(reads: reads)
      } + (source.map { [HostStore(source: $0)] } ?? [])
    writer = Writer(loop: loop, clock: clock, calls: SystemCalls())
    writer.patience = Patience(
      deadlineMs: configuration.writeDeadlineMs,
      bytesPerSecond: configuration.minimumRateBytesPerSecond)
    dispatcher = Dispatcher(
      writer: writer, listener: listener, stores: stores,
      limits: Dispatcher.Limits(
        logBytes: configuration.logBytes, safetyPollMs: configuration.safetyPollMs,
        holeWaitMs: configuration.holeWaitMs),
      logger: logger)
    if configuration.logsConnectionEnds { dispatcher.endLog = EndLog(logger: logger) }
    heartbeat = Heartbeat(loop: loop, writer: writer, configuration: configuration)
  }
}
