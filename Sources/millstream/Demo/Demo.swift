import ArgumentParser
import Logging
import Millstream

struct Demo: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Shows a live stream in a browser, from a Postgres of its own.",
    discussion: """
      Starts a throw-away Postgres with Millstream's schema in it, publishes a tick every 1.5 seconds, \
      and serves a page that shows them and publishes what is typed. SIGINT (Ctrl-C) or SIGTERM end \
      all of it and leave nothing behind. For trying out only: whoever reaches the page can publish.
      """)

  @Option(
    help: ArgumentHelp(
      "HOST:PORT of the page. (default: 127.0.0.1:8080, or a free port when that is taken)",
      valueName: "address"))
  var listen: String?

  @Option(
    help: ArgumentHelp(
      "Use this database, install the schema in it and leave it there, instead of a throw-away one.",
      valueName: "url"))
  var database: String?

  // Not `LogOptions`: the page's address shall not drown in what a server has to say.
  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel: Logger.Level = .warning

  @Option(help: "text or json.")
  var logFormat: LogOptions.Format = .text

  static let environmentOptions: [EnvironmentOption] =
    [.value("listen"), .value("database")] + LogOptions.environmentOptions

  func validate() throws {
    _ = try addresses()
  }

  func run() throws {
    if let database {
      try serve(database, psql: "psql \"$DATABASE_URL\"", goodbye: "Ctrl-C ends it")
    } else {
      try serveThrowaway()
    }
  }

  private func serveThrowaway() throws {
    HeldSignals.hold()
    let postgres = try ThrowawayPostgres()
    defer { postgres.stop() }
    do {
      try postgres.start()
    } catch is HeldSignals.Interruption {
      return
    }
    try serve(
      postgres.database, psql: "psql '\(postgres.database)'",
      goodbye: "Ctrl-C ends it and removes the database")
  }

  private func serve(_ database: String, psql: String, goodbye: String) throws {
    let site = DemoSite(psql: psql, goodbye: goodbye)
    let server = try DemoServer(
      database: database, site: site, logger: LogOptions.logger(logLevel, logFormat))
    try server.run(on: try addresses())
  }

  /// In the order in which they are tried: only an address that was asked for has no stand-in.
  private func addresses() throws -> [ListenAddress] {
    do {
      let texts = listen.map { [$0] } ?? ["127.0.0.1:8080", "127.0.0.1:0"]
      return try texts.map { text throws in try ListenAddress(text) }
    } catch {
      throw ValidationError("--listen: \(error)")
    }
  }
}
