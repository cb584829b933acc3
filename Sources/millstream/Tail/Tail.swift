import ArgumentParser
import Glibc
import Millstream

struct Tail: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Prints the events of one or more streams as they come.",
    discussion: """
      Each event is a line 'ID EVENT DATA' ('-' for no id); further lines of its data follow, indented. \
      Of several streams, or with a pattern ('room:*', of native streams), it is 'STREAM ID EVENT DATA'. \
      Events of the server's own ('pgbus:...') go to standard error, like what happens to the \
      connection, and do not count for --count; with --raw they are printed like the others. When the \
      connection is lost, reads on from the last id. Ends at --count, or with SIGINT.

      In a terminal, control characters of the text are shown as '\u{fffd}', so that it obeys no message; a \
      file or another program gets the text as it is.

      Examples:
        millstream tail chat
        millstream tail chat --since 0 --count 10
        millstream tail chat 'room:*'
        millstream tail http://127.0.0.1:8080/streams/demo
      """)

  @Argument(
    help: "Names of streams and patterns of native ones, or a URL that begins with http://.")
  var streams: [String]

  @OptionGroup var config: ConfigOption
  @OptionGroup var secrets: SecretOptions

  @Option(
    help: ArgumentHelp(
      "Begin behind this id; 0: with all that is kept. (default: from now on)", valueName: "id"))
  var since: String?

  @Option(help: ArgumentHelp("The server, for a name.", valueName: "url"))
  var server = "http://127.0.0.1:8080"

  @Option(help: "Which store's stream, for a name: native or pgmq.")
  var store = StoreArgument.native

  @Option(help: ArgumentHelp("Where PGMQ streams are.", valueName: "path"))
  var pgmqPrefix = "/pgbus/streams"

  @Option(help: ArgumentHelp("Where native streams are.", valueName: "path"))
  var nativePrefix = "/streams"

  @Option(help: ArgumentHelp("End after so many events.", valueName: "n"))
  var count: Int?

  @Flag(help: "Print comments and the server's own events too.")
  var raw = false

  static let environmentOptions: [EnvironmentOption] =
    ConfigOption.environmentOptions + SecretOptions.environmentOptions + [
      .value("since"), .value("server"), .value("store", ignoring: "both"), .value("pgmq-prefix"),
      .value("native-prefix"), .value("count"), .flag("raw"),
    ]

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count is at least 1") }
    if let since { try Tail.check(since: since) }
    if streams.count > 1, let url = streams.first(where: Tail.isURL) {
      throw ValidationError("'\(url)' is a URL, which stands alone")
    }
    _ = try url()
  }

  func run() throws {
    // Every line is out as soon as it is printed, so there is nothing left to do.
    signal(SIGINT) { _ in _exit(0) }
    var printer = EventPrinter(isRaw: raw, isForTerminal: Terminal.isThere, count: count)
    var client = EventStreamClient(url: try url())
    try client.run(take: { printer.print($0) }, notice: { Tail.tell($0) })
  }

  func url() throws -> TailURL {
    let sinceField = since.map { "since=" + $0 }
    if Tail.isURL(streams[0]) {
      let separator = streams[0].contains("?") ? "&" : "?"
      return try TailURL(streams[0] + (sinceField.map { separator + $0 } ?? ""))
    }
    let all = try secrets.load()
    let names = try streams.map { TailURL.percentEncoded(try signed($0, all)) }
    let prefix = store == .native ? nativePrefix : pgmqPrefix
    let base = [server, prefix].map(Tail.trimmed).joined(separator: "/")
    if names.count == 1 && !isPattern(streams[0]) {
      return try TailURL(base + "/" + names[0] + (sinceField.map { "?" + $0 } ?? ""))
    }
    let fields = names.flatMap { ["s=" + $0] + (sinceField.map { [$0] } ?? []) }
    return try TailURL(base + "?" + fields.joined(separator: "&"))
  }

  private static func isURL(_ text: String) -> Bool {
    let scheme = text.prefix(8).lowercased()
    return scheme.hasPrefix("http://") || scheme.hasPrefix("https://")
  }

  private func isPattern(_ name: String) -> Bool { store == .native && name.contains("*") }

  private func signed(_ name: String, _ secrets: [[UInt8]]) throws -> String {
    try StreamArgument.check(name)
    if secrets.isEmpty { return name }
    let purpose = isPattern(name) ? SignedNames.patternPurpose : nil
    return try Sign.signed(name, secrets: secrets, purpose: purpose)
  }

  /// Without the slashes at its ends.
  private static func trimmed(_ path: String) -> String {
    let head = path.drop { $0 == "/" }
    return String(head.dropLast(head.reversed().prefix { $0 == "/" }.count))
  }

  /// `ID`, or `ID-EPOCH` as native streams have it.
  private static func check(since: String) throws {
    let parts = since.split(separator: "-", omittingEmptySubsequences: false)
    let isCursor =
      Int64(parts[0]) != nil && !since.hasPrefix("+")
      && (parts.count == 1 || parts.count == 2 && UInt32(parts[1], radix: 16) != nil)
    guard isCursor else {
      throw ValidationError("--since is an id as events have it, a number or NUMBER-EPOCH")
    }
  }

  private static func tell(_ notice: EventStreamClient.Notice) {
    switch notice {
    case .connected: StandardStreams.notice("connected")
    case .waiting(let reason, let delayMs):
      StandardStreams.notice("\(reason); reconnecting in \(delayMs) ms")
    }
  }
}
