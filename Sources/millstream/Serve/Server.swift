import ArgumentParser
import Glibc
import Logging
import Millstream

/// Loops with an instance and an endpoint each, until a signal ends them. The first runs on the thread
/// that calls; it also handles the signals.
final class Server {
  let main: ServedLoop
  private let others: [ServedLoop]
  private var threads: [LoopThread] = []
  private let logger: Logger
  private let stores: [String]
  private var signals: [SignalWatcher] = []
  private var admin: Admin?
  private var isStopping = false
  private var isMainStopped = false
  private lazy var ended = EndedThreads(
    waking: AsyncWatcher(loop: main.loop) { [unowned self] in loopEnded() })

  /// - Throws: `ValidationError` if the configuration cannot be used.
  init(
    configuration: Configuration, endpoint: EndpointConfiguration,
    access: AccessControl.Settings = AccessControl.Settings(), loops: Int, logger: Logger
  ) throws {
    DescriptorLimit.raise()
    var share = configuration
    share.maxConnections = (configuration.maxConnections + loops - 1) / loops
    do {
      let eventLoops = try (0..<loops).map { _ in try EventLoop() }
      let hub =
        loops > 1
        ? try ListenerHub(loop: eventLoops[0], configuration: configuration, logger: logger) : nil
      let served = try eventLoops.map { loop in
        try ServedLoop(
          loop, configuration: share, endpoint: endpoint, access: access, hub: hub, logger: logger)
      }
      main = served[0]
      others = Array(served.dropFirst())
    } catch {
      throw ValidationError("\(error)")
    }
    self.logger = logger
    stores = configuration.stores.map { "\($0)" }.sorted().reversed()
  }

  /// Serves until SIGTERM or SIGINT. Exits 1 at once if an address cannot be had.
  func run(on addresses: [ListenAddress], admin: AdminAddress = .none) throws {
    watchSignals()
    do {
      try startAdmin(on: admin)
      try start(on: addresses)
    } catch {
      logger.error("cannot start", metadata: ["reason": "\(error)"])
      throw ExitCode(1)
    }
    main.loop.run()
  }

  /// - Throws: that the address cannot be had which was asked for.
  private func startAdmin(on address: AdminAddress) throws {
    guard let socket = try address.listen(logger: logger) else { return }
    admin = Admin(
      mainLoop: main.loop, loops: ([main] + others).map { ($0.loop, $0.instance) }, socket: socket)
  }

  /// From here on SIGTERM and SIGINT end the loops, in order.
  func watchSignals() {
    signal(SIGPIPE, SIG_IGN)
    signals = [SIGTERM, SIGINT].map { number in
      SignalWatcher(loop: main.loop, signalNumber: number) { [unowned self] in stop() }
    }
  }

  /// Listens, says so, and returns the addresses as they were bound. The caller runs the main loop.
  ///
  /// - Throws: why an address cannot be had; then others can be tried.
  @discardableResult
  func start(on addresses: [ListenAddress]) throws -> [String] {
    var sockets: [[ListeningSocket]] = []
    for address in addresses { sockets.append(try address.listen(loops: others.count + 1)) }
    try startThreads(sockets)
    main.stopped = { [unowned self] in
      isMainStopped = true
      loopEnded()
    }
    main.start(on: sockets.map { $0[0] })
    let bound = sockets.map { $0[0].address }
    var ready: Logger.Metadata = [
      "listen": "\(bound.joined(separator: ","))", "loops": "\(others.count + 1)",
      "stores": "\(stores.joined(separator: ","))",
    ]
    ready["admin"] = admin.map { "\($0.address)" }
    logger.info("ready", metadata: ready)
    return bound
  }

  private func startThreads(_ sockets: [[ListeningSocket]]) throws(OperatingFailure) {
    threads = others.enumerated().map { index, served in
      LoopThread(served, sockets: sockets.map { $0[index + 1] }, ended: ended)
    }
    for thread in threads { try thread.start() }
  }

  /// The first signal shuts down in order; whoever sends a second one does not want to wait.
  private func stop() {
    if isStopping { Glibc.exit(1) }
    isStopping = true
    logger.info("shutting down")
    admin?.shutdownBegan()
    main.stop()
    for thread in threads { thread.stop() }
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
    let statistics = ([main] + others).map(\.instance.statistics)
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
