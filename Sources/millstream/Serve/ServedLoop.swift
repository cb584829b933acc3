import Logging
import Millstream
import Synchronization

/// One loop with an instance and an endpoint on it. It shares nothing with other loops but the LISTEN
/// session, and is used from the thread that runs it, except where something else is said.
final class ServedLoop {
  /// What the main loop can tell it.
  enum Order: Sendable {
    /// Say goodbye to clients, spread over so long; `handsOver`: another process takes the new ones.
    case drain(overMs: Int64, handsOver: Bool)
    /// Go on with these.
    case change(ChangeableSettings)
    /// Shut down in order.
    case stop
  }

  let loop: EventLoop
  let instance: Instance
  let endpoint: Endpoint
  private let access: AccessControl?
  /// Set before the loop runs: everything has been shut down.
  var stopped: () -> Void = {}
  /// Set before the loop runs: all have been told, or could not be.
  var drained: () -> Void = {}
  /// Set before the loop runs: it goes on with other settings.
  var changed: () -> Void = {}

  private let orders = Mutex<[Order]>([])
  private lazy var ordered = AsyncWatcher(loop: loop) { [unowned self] in obey() }

  /// `hub`: what it hears with, if there are several; `counts`: one for all of them.
  ///
  /// - Throws: what is wrong with the configuration.
  init(
    _ loop: EventLoop, configuration: Configuration, endpoint: EndpointConfiguration,
    access: AccessControl.Settings, hub: ListenerHub?, counts: ConnectionCounts, logger: Logger
  ) throws {
    self.loop = loop
    instance = try Instance(loop: loop, configuration: configuration, hub: hub, logger: logger)
    self.endpoint = Endpoint(
      loop: loop, instance: instance, configuration: endpoint, logger: logger)
    self.endpoint.counts = counts
    self.access = AccessControl(
      access, loop: loop, instance: instance, endpoint: self.endpoint, logger: logger)
    _ = ordered
  }

  /// Takes connections from `sockets`.
  func start(on sockets: [ListeningSocket]) {
    access?.start()
    endpoint.start(on: sockets)
    instance.start()
  }

  /// What it is told is done soon, in this order; `drained`, `changed` and `stopped` say when. Safe from any
  /// thread.
  func order(_ order: Order) {
    orders.withLock { $0.append(order) }
    ordered.wake()
  }

  private func obey() {
    let given = orders.withLock { orders in
      defer { orders = [] }
      return orders
    }
    for order in given {
      switch order {
      case .drain(let overMs, let handsOver): drain(overMs, handsOver: handsOver)
      case .change(let settings): change(settings)
      case .stop: stop()
      }
    }
  }

  /// A client that has connected and asks for nothing is not waited for any longer.
  private static let longestSettlingMs: Int64 = 1_000

  private func drain(_ overMs: Int64, handsOver: Bool) {
    if handsOver { endpoint.handOver() } else { endpoint.turnAway() }
    instance.drain(overMs: overMs) { [unowned self] isComplete in
      // Otherwise it was shut down, which is all that is waited for.
      guard isComplete else { return }
      endpoint.settle(withinMs: ServedLoop.longestSettlingMs) { [unowned self] in drained() }
    }
  }

  private func change(_ settings: ChangeableSettings) {
    endpoint.reconfigure(settings.endpoint)
    access?.filesChanged(settings.endpoint.tokens?.keys ?? [])
    instance.setLimits(maxConnections: settings.maxConnections, retryMs: settings.retryMs)
    changed()
  }

  private func stop() {
    endpoint.stop()
    access?.stop()
    instance.shutdown { [unowned self] in stopped() }
  }
}
