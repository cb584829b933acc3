import ArgumentParser
import Millstream

struct Doctor: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Checks that everything is there that 'serve' needs, and says what to do if not.",
    discussion: """
      Give it the same options and environment as 'serve'. One line for each check: 'ok', 'warn' (it \
      works, but not well) or 'FAIL', and below it what to do. Exits 1 if anything fails. Nothing is \
      stored or changed in the database.
      """)

  @OptionGroup var database: DatabaseOption
  @OptionGroup var secrets: SecretOptions

  @Option(
    help: ArgumentHelp(
      "The LISTEN session's own connection string, past a pooler; --database if not given.",
      valueName: "url"))
  var listenDatabase: String?

  @Option(help: "Which stores have to be there: pgmq, native or both (one of them suffices).")
  var store = Serve.Store.both

  @Option(help: ArgumentHelp("What the names of pgbus's queues begin with.", valueName: "name"))
  var queuePrefix = "pgbus"

  @Option(
    help: ArgumentHelp("How long to wait for connections and notifications.", valueName: "time"))
  var timeout = DurationArgument(milliseconds: 5_000)

  static let environmentOptions: [EnvironmentOption] =
    DatabaseOption.environmentOptions + SecretOptions.environmentOptions + [
      .value("listen-database"), .value("store"), .value("queue-prefix"), .value("timeout"),
    ]

  func validate() throws {
    if timeout.milliseconds < 1 { throw ValidationError("--timeout is above 0") }
  }

  func run() throws {
    let report = DoctorReport()
    HostChecks(report: report, secrets: secrets).run()
    let reads = connect(database.connectionString, "session", "--database", report)
    let listens = connect(
      listenDatabase ?? database.connectionString, "LISTEN session", listenFlag, report)
    if let reads {
      let sessions = SessionChecks(report: report, timeoutMs: timeout.milliseconds)
      sessions.checkServer(reads)
      let hears = listens.map { sessions.checkPair(reads, $0) } ?? false
      checkStores(reads, hears ? listens : nil, report)
    }
    if report.hasFailed { throw ExitCode(1) }
  }

  private var listenFlag: String { listenDatabase == nil ? "--database" : "--listen-database" }

  private func connect(
    _ connectionString: String, _ name: String, _ flag: String, _ report: DoctorReport
  ) -> CommandDatabase? {
    do {
      // libpq takes whole seconds, and makes two of one.
      let seconds = max(2, (timeout.milliseconds + 999) / 1000)
      let session = try CommandDatabase(connectionString, timeoutSeconds: seconds)
      report.ok("\(name): connected (\(flag))")
      return session
    } catch {
      report.fail(
        "\(name): cannot connect: \(error)",
        "check \(flag), that the server runs, and that pg_hba.conf lets this role in")
      return nil
    }
  }

  /// - Parameter listens: nil if notifications do not come through anyway.
  private func checkStores(
    _ reads: CommandDatabase, _ listens: CommandDatabase?, _ report: DoctorReport
  ) {
    let pgmq = PGMQChecks(report: report, session: reads, queuePrefix: queuePrefix)
    let native = NativeChecks(
      report: report, reads: reads, listens: listens, timeoutMs: timeout.milliseconds)
    let hasPGMQ = store != .native && pgmq.run()
    let hasNative = store != .pgmq && native.run()
    if store != .native && !hasPGMQ {
      tell(
        report, isFailure: !hasNative, "store pgmq: PGMQ is not installed in this database",
        "install PGMQ 1.11 or later, or give --store native")
    }
    if store != .pgmq && !hasNative {
      tell(
        report, isFailure: !hasPGMQ, "store native: the schema millstream is not in this database",
        "run 'millstream install', or give --store pgmq")
    }
  }

  /// A store that is missing is as good as one without streams, if the other is there.
  private func tell(_ report: DoctorReport, isFailure: Bool, _ text: String, _ remedy: String) {
    if isFailure { report.fail(text, remedy) } else { report.warn(text, remedy) }
  }
}
