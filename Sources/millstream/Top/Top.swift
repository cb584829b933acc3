import ArgumentParser
import Glibc

struct Top: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Shows a server's status page in the terminal.",
    discussion: """
      What is connected, rates and latencies, the Postgres sessions, the busiest streams and slow \
      clients, every second until Ctrl-C. With --once, or where standard output is no terminal, prints \
      them once.
      """)

  @OptionGroup var config: ConfigOption

  @Option(
    help: ArgumentHelp("The server's admin address, HOST:PORT or a URL.", valueName: "address"))
  var admin = AdminAddress.usual

  @Flag(help: "Print the figures once.")
  var once = false

  static let environmentOptions: [EnvironmentOption] =
    ConfigOption.environmentOptions + [.value("admin"), .flag("once")]

  /// The server speaks every second.
  private static let longestSilenceMs: Int64 = 5_000

  func validate() throws {
    _ = try url()
  }

  func run() throws {
    var client = EventStreamClient(url: try url())
    client.longestSilenceMs = Top.longestSilenceMs
    client.hints = [
      403:
        "--admin has to be an IP address, localhost, or a name that --admin-host of 'serve' gives",
      404: "there is no status page: this is not the admin address of 'serve'",
    ]
    let isOnce = once || !Terminal.isThere || Terminal.isDumb
    if isOnce { try printOnce(&client) } else { try watch(&client) }
  }

  private func url() throws -> TailURL {
    guard admin != "none" else {
      throw ValidationError("--admin is none: the server has no admin address to ask")
    }
    guard !admin.hasPrefix("unix:") else {
      throw ValidationError("--admin: top reads over TCP alone, HOST:PORT or http://HOST:PORT")
    }
    let base = admin.hasSuffix("/") ? String(admin.dropLast()) : admin
    let isURL = admin.lowercased().hasPrefix("http:") || admin.lowercased().hasPrefix("https:")
    return try TailURL((isURL ? base : "http://" + base) + "/status")
  }

  // MARK: Once

  private func printOnce(_ client: inout EventStreamClient) throws {
    var report = StatusReport()
    try client.run(
      take: { item in
        if case .event(let event) = item { _ = report.take(event) }
        return !report.hasRates
      },
      notice: { notice in
        guard case .waiting(let reason, _) = notice else { return }
        StandardStreams.notice("Error: \(admin): \(reason)")
        Glibc.exit(1)
      })
    var screen = TopScreen(
      columns: Terminal.isThere ? Terminal.size.columns : 120, rows: nil,
      hasColors: Terminal.isThere && Terminal.hasColors, server: admin)
    for line in screen.draw(report) { StandardStreams.output(line) }
  }

  // MARK: All the time

  private func watch(_ client: inout EventStreamClient) throws {
    Terminal.takeScreen()
    defer { Terminal.giveScreenBack() }
    var report = StatusReport()
    try client.run(
      take: { item in
        if case .event(let event) = item, report.take(event) { show(report) }
        return true
      },
      notice: { notice in
        guard case .waiting(let reason, _) = notice else { return }
        show(report, problem: "\(reason); trying again")
      })
  }

  private func show(_ report: StatusReport, problem: String? = nil) {
    let size = Terminal.size
    var screen = TopScreen(
      columns: size.columns, rows: size.rows, hasColors: Terminal.hasColors, server: admin)
    Terminal.show(screen.draw(report, problem: problem))
  }
}
