import Logging
import Millstream

/// One loop with an instance and an endpoint on it. It shares nothing with other loops but the LISTEN
/// session, and is used from the thread that runs it, except where something else is said.
final class ServedLoop {
  let loop: EventLoop
  let instance: Instance
  let endpoint: Endpoint
  private let access: AccessControl?
  /// Set before the loop runs: everything has been shut down.
  var stopped: () -> Void = {}

  private lazy var stopping = AsyncWatcher(loop: loop) { [unowned self] in stopHere() }

  /// `hub`: what it hears with, if there are several.
  ///
  /// - Throws: what is wrong with the configuration.
  init(
    _ loop: EventLoop, configuration: Configuration, endpoint: EndpointConfiguration,
    access: AccessControl.Settings, hub: ListenerHub?, logger: Logger
  ) throws {
    self.loop = loop
    instance = try Instance(loop: loop, configuration: configuration, hub: hub, logger: logger)
    self.endpoint = Endpoint(
      loop: loop, instance: instance, configuration: endpoint, logger: logger)
    self.access = AccessControl(
      access, loop: loop, instance: instance, endpoint: self.endpoint, logger: logger)
    _ = stopping
  }

  /// Takes connections from `sockets`.
  func start(on sockets: [ListeningSocket]) {
    access?.start()
    endpoint.start(on: sockets)
    instance.start()
  }

  /// Shuts down in order; `stopped` is called when that is done. Safe from any thread.
  func stop() {
    stopping.wake()
  }

  private func stopHere() {
    endpoint.stop()
    access?.stop()
    instance.shutdown { [unowned self] in stopped() }
  }
}
