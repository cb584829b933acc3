import ArgumentParser
import Glibc
import Logging
import Millstream

/// An instance and its endpoint on a loop of their own, until a signal ends them.
final class Server {
  let instance: Instance
  let endpoint: Endpoint
  let loop: EventLoop
  private let logger: Logger
  private let stores: [String]
  private var signals: [SignalWatcher] = []
  private var isStopping = false

  /// - Throws: `ValidationError` if the configuration cannot be used.
  init(configuration: Configuration, endpoint: EndpointConfiguration, logger: Logger) throws {
    DescriptorLimit.raise()
    do {
      loop = try EventLoop()
      instance = try Instance(loop: loop, configuration: configuration, logger: logger)
    } catch {
      throw ValidationError("\(error)")
    }
    self.endpoint = Endpoint(
      loop: loop, instance: instance, configuration: endpoint, logger: logger)
    self.logger = logger
    stores = configuration.stores.map { "\($0)" }.sorted().reversed()
  }

  /// Serves until SIGTERM or SIGINT. Exits 1 at once if an address cannot be had.
  func run(on addresses: [ListenAddress]) throws {
    watchSignals()
    do {
      try start(on: addresses)
    } catch {
      logger.error("cannot start", metadata: ["reason": "\(error)"])
      throw ExitCode(1)
    }
    loop.run()
  }

  /// From here on SIGTERM and SIGINT end the loop, in order.
  func watchSignals() {
    signal(SIGPIPE, SIG_IGN)
    signals = [SIGTERM, SIGINT].map { number in
      SignalWatcher(loop: loop, signalNumber: number) { [unowned self] in stop() }
    }
  }

  /// Listens, says so, and returns the addresses as they were bound. The caller runs the loop.
  ///
  /// - Throws: why an address cannot be had; then others can be tried.
  @discardableResult
  func start(on addresses: [ListenAddress]) throws(ConfigurationError) -> [String] {
    let bound = try endpoint.start(addresses)
    instance.start()
    logger.info(
      "ready",
      metadata: [
        "listen": "\(bound.joined(separator: ","))", "stores": "\(stores.joined(separator: ","))",
      ])
    return bound
  }

  /// The first signal shuts down in order; whoever sends a second one does not want to wait.
  private func stop() {
    if isStopping { Glibc.exit(1) }
    isStopping = true
    logger.info(
      "shutting down", metadata: ["connections": "\(instance.connectionCount)"])
    endpoint.stop()
    instance.shutdown { [unowned self] in
      logger.info("stopped", metadata: account)
      loop.stop()
    }
  }

  /// How many connections there were, and how they ended.
  private var account: Logger.Metadata {
    let statistics = instance.statistics
    var account: Logger.Metadata = ["opened": "\(statistics.opened)"]
    for reason in CloseReason.allCases where statistics.closed(reason) > 0 {
      account["\(reason)"] = "\(statistics.closed(reason))"
    }
    return account
  }
}
