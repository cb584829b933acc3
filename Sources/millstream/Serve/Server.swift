import ArgumentParser
import Glibc
import Logging
import Millstream

/// Loops with an instance and an endpoint each, until a signal ends them. The first runs on the thread
/// that calls; it also handles the signals.
final class Server {
  let main: ServedLoop
  /// Set before it runs: over how long the goodbyes are spread when SIGTERM comes.
  var drainMs: Int64 = 0
  /// Set before it runs: who wants to hear how it is.
  var manager: ServiceManager?
  private let others: [ServedLoop]
  private var threads: [LoopThread] = []
  private var logger: Logger
  private let stores: [String]
  private let writeDeadlineMs: Int64
  private var signals: [SignalWatcher] = []
  private var admin: Admin?
  private var adminRetry: TimerWatcher?
  private var reloader: Reloader?
  private var watchdog: Watchdog?
  private var status = "starting"
  private var stage = ServingStage.serving
  private var isContinued = false
  private var isMainStopped = false
  private var expectedChanges = 0
  private lazy var ended = counter { $0.loopEnded() }
  private lazy var drained = counter { $0.loopDrained() }
  private lazy var changed = counter { $0.loopChanged() }

  private var all: [ServedLoop] { [main] + others }

  /// - Throws: `ValidationError` if the configuration cannot be used.
  init(
    configuration: Configuration, endpoint: EndpointConfiguration,
    access: AccessControl.Settings = AccessControl.Settings(), loops: Int, logger: Logger
  ) throws {
    DescriptorLimit.raise()
    var share = configuration
    share.maxConnections = Server.share(of: configuration, loops: loops)
    do {
      let eventLoops = try (0..<loops).map { _ in try EventLoop() }
      let hub =
        loops > 1
        ? try ListenerHub(loop: eventLoops[0], configuration: configuration, logger: logger) : nil
      let counts = ConnectionCounts()
      let served = try eventLoops.enumerated().map { number, loop in
        try ServedLoop(
          loop, configuration: share, endpoint: endpoint, access: access, hub: hub, counts: counts,
          logger: Server.logger(logger, ofLoop: number, of: loops))
      }
      main = served[0]
      others = Array(served.dropFirst())
    } catch {
      throw ValidationError("\(error)")
    }
    self.logger = logger
    stores = configuration.stores.map { "\($0)" }.sorted().reversed()
    writeDeadlineMs = configuration.writeDeadlineMs
  }

  /// Of several loops each says which it is, by the number that it has in metrics. The level is one for all.
  private static func logger(_ logger: Logger, ofLoop number: Int, of count: Int) -> Logger {
    var numbered = logger
    if count > 1 { numbered[metadataKey: "loop"] = "\(number)" }
    return numbered
  }

  /// How many connections each loop may have.
  static func share(of configuration: Configuration, loops: Int) -> Int {
    (configuration.maxConnections + loops - 1) / loops
  }

  private func counter(_ body: @escaping (Server) -> Void) -> LoopCounter {
    LoopCounter(waking: AsyncWatcher(loop: main.loop) { [unowned self] in body(self) })
  }

  /// Set before it runs: what answers requests that are not for a stream, on each loop's thread.
  func answer(by fallback: @escaping @Sendable (EndpointRequest) -> FallbackResponse?) {
    for served in all { served.endpoint.fallback = fallback }
  }

  /// Set before it runs: SIGHUP reads again what `serve` was made of.
  func reload(_ serve: Serve) {
    reloader = Reloader(serve, loop: main.loop, logger: logger) { [unowned self] in change($0) }
  }

  // MARK: Begin

  /// Serves until SIGTERM or SIGINT. Exits 1 at once if an address cannot be had.
  func run(on listening: Listening, admin: AdminSettings = AdminSettings()) throws {
    watchSignals()
    do {
      try startAdmin(admin, listening)
      try start(on: listening)
    } catch {
      logger.error("cannot start", metadata: ["reason": "\(error)"])
      throw ExitCode(1)
    }
    main.loop.run()
  }

  /// - Throws: that the address cannot be had which was asked for.
  private func startAdmin(_ settings: AdminSettings, _ listening: Listening) throws {
    let address = settings.address
    if case .none = address, listening.inherited.admin == nil { return }
    // The process that goes before this one answers there to its end.
    if listening.isShared { return waitForAdmin(settings, listening) }
    guard let socket = try listening.adminSocket(address, logger: logger) else { return }
    makeAdmin(settings).open(socket)
  }

  private func makeAdmin(_ settings: AdminSettings) -> Admin {
    let admin = Admin(
      mainLoop: main.loop, loops: all.map { ($0.loop, $0.instance) }, settings: settings,
      logger: logger)
    self.admin = admin
    return admin
  }

  private static let adminRetryMs: Int64 = 250

  private func waitForAdmin(_ settings: AdminSettings, _ listening: Listening) {
    let admin = makeAdmin(settings)
    var quiet = logger
    quiet.handler = SwiftLogNoOpLogHandler()
    let attempt = { [unowned self] in
      guard let socket = try? listening.adminSocket(settings.address, logger: quiet) else {
        return false
      }
      admin.open(socket)
      adminRetry?.stop()
      return true
    }
    if attempt() { return }
    logger.notice("the admin address is taken; waiting for it")
    adminRetry = TimerWatcher(loop: main.loop) { [unowned self] in
      if attempt() { logger.info("the admin address is free", metadata: adminMetadata) }
    }
    adminRetry?.repeatFiring(everyMs: Server.adminRetryMs)
  }

  private var adminMetadata: Logger.Metadata {
    admin?.address.map { ["admin": "\($0)"] } ?? [:]
  }

  /// From here on SIGTERM and SIGINT end the loops, in order.
  func watchSignals() {
    signal(SIGPIPE, SIG_IGN)
    signals = [SIGTERM, SIGINT].map { number in
      SignalWatcher(loop: main.loop, signalNumber: number) { [unowned self] in end(by: number) }
    }
    if reloader == nil { return }
    signals.append(
      SignalWatcher(loop: main.loop, signalNumber: SIGHUP) { [unowned self] in beginReload() })
  }

  /// Listens, says so, and returns the addresses as they were bound. The caller runs the main loop.
  ///
  /// - Throws: why an address cannot be had; then others can be tried.
  @discardableResult
  func start(on listening: Listening) throws -> [String] {
    let sockets = try listening.sockets(loops: others.count + 1)
    isContinued = listening.isContinued
    connectLoops()
    watchdog = manager.flatMap {
      Watchdog(manager: $0, mainLoop: main.loop, loops: all.map(\.loop))
    }
    try startThreads(sockets)
    main.start(on: sockets.map { $0[0] })
    let bound = sockets.map { $0[0].address }
    var ready: Logger.Metadata = [
      "listen": "\(bound.joined(separator: ","))", "loops": "\(others.count + 1)",
      "stores": "\(stores.joined(separator: ","))",
    ]
    ready.merge(adminMetadata) { $1 }
    logger.info("ready", metadata: ready)
    status = "serving at \(bound.joined(separator: ", "))"
    manager?.ready(status)
    return bound
  }

  private func connectLoops() {
    main.stopped = { [unowned self] in
      isMainStopped = true
      loopEnded()
    }
    let (drained, changed) = (drained, changed)
    for served in all {
      served.drained = { drained.add() }
      served.changed = { changed.add() }
    }
  }

  private func startThreads(_ sockets: [[ListeningSocket]]) throws(OperatingFailure) {
    threads = others.enumerated().map { index, served in
      LoopThread(served, sockets: sockets.map { $0[index + 1] }, ended: ended)
    }
    for thread in threads { try thread.start() }
  }

  private func order(_ order: ServedLoop.Order) {
    main.order(order)
    for thread in threads { thread.served.order(order) }
  }

  // MARK: Reload

  private func beginReload() {
    guard stage == .serving else { return }
    manager?.reloading()
    reloader?.start()
  }

  /// Nil: nothing is new.
  private func change(_ settings: ChangeableSettings?) {
    admin?.isLastReloadSuccessful = settings != nil
    guard let settings, stage == .serving else {
      manager?.ready(status)
      return
    }
    drainMs = settings.drainMs
    logger.logLevel = settings.logLevel
    admin?.maxConnections = settings.maxConnections * all.count
    admin?.exchange(token: settings.adminToken)
    expectedChanges += all.count
    order(.change(settings))
  }

  private func loopChanged() {
    guard changed.count == expectedChanges, stage == .serving else { return }
    logger.info("reloaded")
    manager?.ready(status)
  }

  // MARK: End

  /// Each further signal is from somebody who does not want to wait any more.
  private func end(by number: Int32) {
    switch stage {
    case .serving where number == SIGTERM && drainMs > 0: drain()
    case .serving, .draining: stop()
    case .shuttingDown: Glibc.exit(1)
    }
  }

  /// Clients are told to go over a while; those who are still there get everything meanwhile.
  private func drain() {
    stage = .draining
    adminRetry?.stop()
    logger.info(
      "draining", metadata: ["over": "\(DurationArgument(milliseconds: drainMs))"])
    admin?.drainBegan()
    tellManager(stage.rawValue)
    order(.drain(overMs: drainMs, handsOver: isContinued))
  }

  private func loopDrained() {
    if stage == .draining && drained.count == all.count { stop() }
  }

  private func stop() {
    stage = .shuttingDown
    adminRetry?.stop()
    logger.info("shutting down")
    admin?.shutdownBegan()
    watchdog?.shutdownBegan()
    tellManager(stage.rawValue)
    order(.stop)
  }

  /// What the end may take beyond what is known, in milliseconds.
  private static let reserveMs: Int64 = 10_000

  private func tellManager(_ status: String) {
    let drainMs = stage == .draining ? drainMs : 0
    manager?.stopping(status, withinMs: drainMs + writeDeadlineMs + Server.reserveMs)
  }

  /// The main loop runs until all have ended, so that it can be told not to wait.
  private func loopEnded() {
    guard isMainStopped, ended.count == threads.count else { return }
    for thread in threads { thread.join() }
    admin?.stop()
    logger.info("stopped", metadata: account)
    main.loop.stop()
  }

  /// How many connections there were, and how they ended.
  private var account: Logger.Metadata {
    let statistics = all.map(\.instance.statistics)
    var account: Logger.Metadata = ["opened": "\(statistics.reduce(0) { $0 + $1.opened })"]
    for reason in CloseReason.allCases {
      let count = statistics.reduce(0) { $0 + $1.closed(reason) }
      if count > 0 { account["\(reason)"] = "\(count)" }
    }
    let refused = statistics.reduce(0) { $0 + $1.refusedTokens }
    if refused > 0 { account["refusedTokens"] = "\(refused)" }
    let failed = statistics.reduce(0) { $0 + $1.failedAuthorizations }
    if failed > 0 { account["failedAuthorizations"] = "\(failed)" }
    return account
  }
}
