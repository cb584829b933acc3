// Millstream in a Swift program, on an event loop of the program's own.
//
//     swift run SwiftHost postgresql://localhost/app 127.0.0.1:8080

import Glibc
import Logging
import Millstream

/// The program: one loop, one instance on it, one port in front of it.
final class Host {
  private let loop: EventLoop
  private let instance: Instance
  private let endpoint: Endpoint
  private var signals: [SignalWatcher] = []

  init(database: String) throws {
    let logger = Logger(label: "host")
    var configuration = Configuration()
    configuration.database = database
    configuration.stores = [.native]
    var paths = EndpointConfiguration()
    paths.publicPatterns = ["demo:*"]

    loop = try EventLoop()
    instance = try Instance(loop: loop, configuration: configuration, logger: logger)
    endpoint = Endpoint(loop: loop, instance: instance, configuration: paths, logger: logger)
  }

  /// Returns when SIGINT or SIGTERM has come and every client has been told.
  func run(listeningAt address: String) throws {
    let sockets = try ListenAddress(address).listen()
    // Who asks for anything but a stream gets this.
    endpoint.fallback = { request in
      guard request.path == "/" else { return nil }
      return FallbackResponse(status: 200, contentType: "text/plain", body: "a page of the host\n")
    }
    endpoint.start(on: sockets)
    instance.start()
    signals = [SIGINT, SIGTERM].map { number in
      SignalWatcher(loop: loop, signalNumber: number) { [unowned self] in stop() }
    }
    print("listening on http://\(sockets[0].address)/")
    fflush(nil)
    loop.run()
  }

  private func stop() {
    endpoint.stop()
    instance.shutdown { [unowned self] in loop.stop() }
  }
}

do {
  guard CommandLine.arguments.count > 1 else {
    print("usage: SwiftHost DATABASE [ADDRESS]")
    exit(64)
  }
  let address = CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "127.0.0.1:0"
  try Host(database: CommandLine.arguments[1]).run(listeningAt: address)
} catch {
  print("SwiftHost: \(error)")
  exit(1)
}
