import ArgumentParser
import Glibc
import Logging
import Millstream

struct Serve: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Serves streams over HTTP, as server-sent events.",
    discussion: """
      Runs in front of Postgres until SIGTERM, which says goodbye to clients over --drain, or SIGINT, \
      which does so at once; a further one does not wait. SIGHUP takes new secrets, keys, limits and the \
      log level. Sockets that systemd has opened (sd_listen_fds) take the place of --listen. Streams of PGMQ queues are at --pgmq-prefix, those of Millstream's own schema \
      (see 'millstream install') at --native-prefix. Names are signed, unless a --public pattern \
      matches.
      """)

  enum Store: String, ExpressibleByArgument, CaseIterable { case pgmq, native, both }

  @OptionGroup var config: ConfigOption
  @OptionGroup var database: DatabaseOption
  @OptionGroup var secrets: SecretOptions
  @OptionGroup(title: "Tokens") var tokens: TokenOptions
  @OptionGroup(title: "Asking the application") var authorize: AuthorizeOptions
  @OptionGroup(title: "Limits") var limits: LimitOptions
  @OptionGroup(title: "Presence and statistics") var presence: PresenceOptions
  @OptionGroup(title: "Admin address") var adminOptions: AdminOptions
  @OptionGroup var log: LogOptions

  @Option(help: ArgumentHelp("HOST:PORT or unix:PATH; repeatable.", valueName: "address"))
  var listen: [String] = []

  @Option(
    help: ArgumentHelp(
      "The LISTEN session's own connection string, past a pooler; --database if not given.",
      valueName: "url"))
  var listenDatabase: String?

  @Option(
    help: ArgumentHelp(
      "How many loops, each with a thread and a Postgres session of its own; the cores if not given.",
      valueName: "n"))
  var loops: Int?

  @Option(help: "Which stores to serve: pgmq, native or both.")
  var store = Store.both

  @Option(help: ArgumentHelp("Where PGMQ streams are.", valueName: "path"))
  var pgmqPrefix = "/pgbus/streams"

  @Option(help: ArgumentHelp("Where native streams are.", valueName: "path"))
  var nativePrefix = "/streams"

  @Option(help: ArgumentHelp("What the names of pgbus's queues begin with.", valueName: "name"))
  var queuePrefix = "pgbus"

  @Option(
    name: .customLong("public"),
    help: ArgumentHelp(
      "Names that need no signature, for instance 'demo:*'; repeatable.", valueName: "pattern"))
  var publicPatterns: [String] = []

  @Option(
    help: ArgumentHelp(
      "An origin whose pages may read ('*': any); repeatable.", valueName: "origin"))
  var allowOrigin: [String] = []

  @Option(
    help: ArgumentHelp("Where the client for browsers is; none: nowhere.", valueName: "path"))
  var scriptPath = "/millstream.js"

  @Option(help: ArgumentHelp("Comment on every connection that often.", valueName: "time"))
  var heartbeat = DurationArgument(milliseconds: 15_000)

  @Option(
    help: ArgumentHelp("Close a connection without a broadcast for so long.", valueName: "time"))
  var idleTimeout = DurationArgument(milliseconds: 3_600_000)

  @Option(
    help: ArgumentHelp("Drop a client that takes nothing for so long.", valueName: "time"))
  var writeDeadline = DurationArgument(milliseconds: 5_000)

  @Option(
    help: ArgumentHelp(
      "Drop a client that is behind and takes fewer bytes a second; 0: never.", valueName: "n"))
  var minimumRate: Int64 = 64

  @Option(
    help: ArgumentHelp("Ask an idle Postgres session for a sign of life.", valueName: "time"))
  var healthCheck = DurationArgument(milliseconds: 5_000)

  @Option(
    help: ArgumentHelp("Look at streams that often though nothing woke them.", valueName: "time"))
  var safetyPoll = DurationArgument(milliseconds: 5_000)

  @Option(
    help: ArgumentHelp(
      "Hold PGMQ messages back while a transaction may commit one below them, at most.",
      valueName: "time"))
  var holeWait = DurationArgument(milliseconds: 10_000)

  @Option(help: ArgumentHelp("How long a client may take for its request.", valueName: "time"))
  var headTimeout = DurationArgument(milliseconds: 10_000)

  @Option(
    help: ArgumentHelp("What clients wait before they reconnect, ±50 %.", valueName: "time"))
  var retry = DurationArgument(milliseconds: 2_000)

  @Option(
    help: ArgumentHelp(
      "How many connections at once; as many as descriptors allow if not given.", valueName: "n"))
  var maxConnections: Int?

  @Option(
    help: ArgumentHelp(
      "Spread the goodbyes over so long when SIGTERM comes.", valueName: "time"))
  var drain = DurationArgument(milliseconds: 10_000)

  @Flag(
    help: ArgumentHelp(
      "Share the port with other processes that are given the same: a new one, and the one that is to end."
    ))
  var reusePort = false

  static let environmentOptions: [EnvironmentOption] =
    ConfigOption.environmentOptions + DatabaseOption.environmentOptions
    + SecretOptions.environmentOptions
    + TokenOptions.environmentOptions
    + AuthorizeOptions.environmentOptions + AdminOptions.environmentOptions
    + LimitOptions.environmentOptions + PresenceOptions.environmentOptions
    + LogOptions.environmentOptions + [
      .list("listen"), .value("listen-database"), .value("loops"), .value("store"),
      .value("pgmq-prefix"),
      .value("native-prefix"), .value("queue-prefix"), .list("public"), .list("allow-origin"),
      .value("script-path"),
      .value("heartbeat"), .value("idle-timeout"), .value("write-deadline"), .value("minimum-rate"),
      .value("health-check"), .value("safety-poll"), .value("hole-wait"), .value("head-timeout"),
      .value("retry"), .value("max-connections"), .value("drain"), .flag("reuse-port"),
    ]

  func validate() throws {
    for (name, prefix) in [("pgmq-prefix", pgmqPrefix), ("native-prefix", nativePrefix)] {
      guard prefix.hasPrefix("/"), prefix.count > 1 else {
        throw ValidationError("--\(name) has to begin with '/' and name a path")
      }
    }
    guard scriptPath == "none" || BrowserScript.isPath(scriptPath) else {
      throw ValidationError("--script-path begins with '/' and is written as in a URL, or is none")
    }
    guard pgmqPrefix != nativePrefix else {
      throw ValidationError("--pgmq-prefix and --native-prefix have to differ")
    }
    guard heartbeat.milliseconds > 0, writeDeadline.milliseconds > 0, healthCheck.milliseconds > 0
    else { throw ValidationError("--heartbeat, --write-deadline and --health-check are above 0") }
    guard (0...1_000_000_000).contains(minimumRate) else {
      throw ValidationError("--minimum-rate is from 0 to 1000000000")
    }
    if let loops, !(1...Serve.maximumLoops).contains(loops) {
      throw ValidationError("--loops is from 1 to \(Serve.maximumLoops)")
    }
    if let maxConnections, maxConnections < 1 {
      throw ValidationError("--max-connections is at least 1")
    }
    if let origin = allowOrigin.first(where: { $0 != "*" && !WebOrigin.isSent($0) }) {
      throw ValidationError(
        """
        --allow-origin: '\(PrintableText.line(String(origin.prefix(64))))' is no origin as browsers send it: \
        *, null, or scheme://host or scheme://host:port, in small letters, without a path or a slash at the end, \
        and without the port that is the scheme's own
        """)
    }
    _ = try addresses()
  }

  func run() throws {
    let logger = log.makeLogger()
    UnknownVariables.warn(logger)
    warnOfDescriptors(logger)
    let endpoint = try endpointConfiguration(logger)
    let admin = try adminOptions.load()
    let access = AccessControl.Settings(
      application: authorize.settings, keys: tokens.source(endpoint.tokens))
    let server = try Server(
      configuration: configuration(), endpoint: endpoint, access: access,
      loops: loopCount, logger: logger)
    if scriptPath != "none" {
      server.answer(by: BrowserScript(path: scriptPath, secondsKept: 3600).answer)
    }
    server.drainMs = drain.milliseconds
    server.manager = ServiceManager()
    server.reload(self)
    let listening = Listening(
      addresses: try addresses(), isShared: reusePort, inherited: InheritedSockets.take())
    try server.run(on: listening, admin: admin)
  }

  var loopCount: Int { loops ?? min(Processors.count, Serve.maximumLoops) }

  static let maximumLoops = 256
  static let usualAddress = "127.0.0.1:8080"

  private func addresses() throws -> [ListenAddress] {
    do {
      return try (listen.isEmpty ? [Serve.usualAddress] : listen).map { text throws in
        try ListenAddress(text)
      }
    } catch {
      throw ValidationError("--listen: \(error)")
    }
  }

  func configuration() -> Configuration {
    var configuration = Configuration()
    configuration.database = database.connectionString
    configuration.listenDatabase = listenDatabase
    configuration.stores = store.kinds
    configuration.queuePrefix = queuePrefix
    configuration.heartbeatMs = heartbeat.milliseconds
    configuration.idleTimeoutMs = idleTimeout.milliseconds
    configuration.writeDeadlineMs = writeDeadline.milliseconds
    configuration.minimumRateBytesPerSecond = minimumRate
    configuration.healthCheckMs = healthCheck.milliseconds
    configuration.safetyPollMs = safetyPoll.milliseconds
    configuration.holeWaitMs = holeWait.milliseconds
    configuration.retryMs = retry.milliseconds
    configuration.logsConnectionEnds = true
    presence.apply(to: &configuration)
    configuration.maxConnections = maxConnections ?? Serve.defaultMaxConnections()
    return configuration
  }

  /// All descriptors but a reserve for Postgres, listening sockets, logs, and requests on their way in.
  static func defaultMaxConnections() -> Int {
    let limit = DescriptorLimit.raise()
    return max(limit - max(64, min(limit / 16, 512)), 1)
  }

  /// Beyond what descriptors allow nobody is refused: whoever comes waits in the kernel's queue without a word.
  func warnOfDescriptors(_ logger: Logger) {
    let possible = Serve.defaultMaxConnections()
    guard let maxConnections, maxConnections > possible else { return }
    logger.warning(
      "there are fewer descriptors than --max-connections needs",
      metadata: [
        "max_connections": "\(maxConnections)", "possible": "\(possible)",
        "descriptors": "\(DescriptorLimit.raise())",
      ])
  }

  func endpointConfiguration(_ logger: Logger) throws -> EndpointConfiguration {
    var endpoint = EndpointConfiguration()
    endpoint.pgmqPrefix = store == .native ? nil : pgmqPrefix
    endpoint.nativePrefix = store == .pgmq ? nil : nativePrefix
    endpoint.queuePrefix = queuePrefix
    endpoint.secrets = try secrets.load()
    endpoint.tokens = try tokens.load(logger)
    endpoint.publicPatterns = publicPatterns
    endpoint.allowedOrigins = allowOrigin
    endpoint.headTimeoutMs = headTimeout.milliseconds
    try limits.apply(to: &endpoint)
    // As with a file of options that is empty by mistake.
    if endpoint.secrets.isEmpty && endpoint.tokens == nil && publicPatterns.isEmpty {
      logger.warning(
        "nobody may listen: there are no secrets, no keys of tokens and no public names")
    }
    return endpoint
  }
}

extension Serve.Store {
  var kinds: Set<StoreKind> {
    switch self {
    case .pgmq: [.pgmq]
    case .native: [.native]
    case .both: [.pgmq, .native]
    }
  }
}
