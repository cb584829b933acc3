import Logging
import Millstream

/// A server of native streams with the demo's page in front and a feed that ticks by itself.
final class DemoServer {
  private let server: Server
  private let feed: DemoFeed
  private let site: DemoSite
  private var failure: OperatingFailure?

  /// Installs the schema in `database`, too.
  init(database: String, site: DemoSite, logger: Logger) throws {
    try DemoServer.installSchema(in: database)
    var configuration = Configuration()
    configuration.database = database
    configuration.stores = [.native]
    configuration.maxConnections = Serve.defaultMaxConnections()
    var endpoint = EndpointConfiguration()
    endpoint.pgmqPrefix = nil
    endpoint.publicPatterns = ["demo:*"]
    server = try Server(configuration: configuration, endpoint: endpoint, loops: 1, logger: logger)
    let session = try PublishingSession(database: database, loop: server.main.loop, logger: logger)
    feed = DemoFeed(loop: server.main.loop, session: session)
    self.site = site
    let script = BrowserScript(path: "/millstream.js", secondsKept: 0)
    server.main.endpoint.fallback = { [feed] request in
      site.answer(request, feed: feed) ?? script.answer(request)
    }
  }

  private static func installSchema(in database: String) throws {
    do {
      let session = try CommandDatabase(database)
      try session.transaction { () throws(DatabaseError) in try session.run(NativeSchema.sql) }
    } catch {
      throw OperatingFailure("cannot install the schema: \(error)")
    }
  }

  /// Serves on the first of `addresses` that can be had, until SIGINT or SIGTERM.
  ///
  /// It listens only once it can publish, so that whoever is connected can publish, too.
  func run(on addresses: [ListenAddress]) throws {
    server.watchSignals()
    HeldSignals.release()
    feed.started = { [unowned self] in open(addresses) }
    feed.start()
    server.main.loop.run()
    if let failure { throw failure }
  }

  private func open(_ addresses: [ListenAddress]) {
    do {
      let bound = try firstBound(addresses)
      StandardStreams.output(site.welcome(address: bound))
    } catch {
      failure = OperatingFailure("\(error)")
      server.main.loop.stop()
    }
  }

  private func firstBound(_ addresses: [ListenAddress]) throws -> String {
    for address in addresses.dropLast() {
      do {
        return try server.start(on: Listening(addresses: [address]))[0]
      } catch {
        StandardStreams.notice("\(error); taking a free port instead")
      }
    }
    return try server.start(on: Listening(addresses: addresses.suffix(1)))[0]
  }
}
