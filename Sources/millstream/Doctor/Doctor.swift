import ArgumentParser
import Millstream

struct Doctor: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Checks that everything is there that 'serve' needs, and says what to do if not.",
    // Else it would be 'millstream serve doctor', as the options are those of a command.
    usage: "millstream doctor [<options>]",
    discussion: """
      Give it the same options and environment as 'serve'. One line for each check: 'ok', 'warn' (it \
      works, but not well) or 'FAIL', and below it what to do. Exits 1 if anything fails. Nothing is \
      stored or changed in the database.
      """)

  // All of them, so that what the server is given can be given here as it is.
  @OptionGroup var serve: Serve

  @Option(
    help: ArgumentHelp("How long to wait for connections and notifications.", valueName: "time"))
  var timeout = DurationArgument(milliseconds: 5_000)

  static let environmentOptions: [EnvironmentOption] =
    Serve.environmentOptions + [.value("timeout")]

  func validate() throws {
    if timeout.milliseconds < 1 { throw ValidationError("--timeout is above 0") }
  }

  func run() throws {
    let report = DoctorReport()
    FileChecks(report: report, serve: serve).run()
    HostChecks(report: report, serve: serve).run()
    AddressChecks(report: report, serve: serve).run()
    AccessChecks(report: report, serve: serve).run()
    let reads = connect(serve.database.connectionString, "session", "--database", report)
    let listens = connect(
      serve.listenDatabase ?? serve.database.connectionString, "LISTEN session", listenFlag, report)
    if let reads {
      let sessions = SessionChecks(report: report, timeoutMs: timeout.milliseconds)
      sessions.checkServer(reads)
      sessions.checkRoom(reads, loops: serve.loopCount)
      let hears = listens.map { sessions.checkPair(reads, $0) } ?? false
      checkStores(reads, hears ? listens : nil, report)
    }
    if report.hasFailed { throw ExitCode(1) }
  }

  private var listenFlag: String {
    serve.listenDatabase == nil ? "--database" : "--listen-database"
  }

  private func connect(
    _ connectionString: String, _ name: String, _ flag: String, _ report: DoctorReport
  ) -> CommandDatabase? {
    do {
      try Configuration.check(connectionString: connectionString)
    } catch {
      report.fail("\(name): \(error)", "mend the text of \(flag)")
      return nil
    }
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
    let grants = Grants(to: reads)
    let pgmq = PGMQChecks(
      report: report, session: reads, queuePrefix: serve.queuePrefix, grants: grants)
    let native = NativeChecks(
      report: report, reads: reads, listens: listens, timeoutMs: timeout.milliseconds,
      grants: grants)
    let hasPGMQ = serve.store != .native && pgmq.run()
    let hasNative = serve.store != .pgmq && native.run()
    ControlChecks(report: report, reads: reads, grants: grants).run()
    PresenceChecks(report: report, session: reads, options: serve.presence, grants: grants)
      .run(pgmq: hasPGMQ, native: hasNative)
    if serve.store != .native && !hasPGMQ {
      tell(
        report, isFailure: !hasNative, "store pgmq: PGMQ is not installed in this database",
        "install PGMQ \(PGMQChecks.oldestVersion) or later, or give --store native")
    }
    if serve.store != .pgmq && !hasNative {
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
