import ArgumentParser
import Glibc
import Millstream

struct Tail: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Prints the events of a stream as they come.",
    discussion: """
      Each event is a line 'ID EVENT DATA' ('-' for no id); further lines of its data follow, indented. \
      Events of the server's own ('pgbus:...') go to standard error, like what happens to the \
      connection, and do not count for --count; with --raw they are printed like the others. When the \
      connection is lost, reads on from the last id. Ends at --count, or with SIGINT.

      Examples:
        millstream tail chat
        millstream tail chat --since 0 --count 10
        millstream tail http://127.0.0.1:8080/streams/demo
      """)

  @Argument(help: "The name of a stream, or a URL that begins with http://.")
  var stream: String

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
    SecretOptions.environmentOptions + [
      .value("since"), .value("server"), .value("store", ignoring: "both"), .value("pgmq-prefix"),
      .value("native-prefix"), .value("count"), .flag("raw"),
    ]

  func validate() throws {
    if let count, count < 1 { throw ValidationError("--count is at least 1") }
    if let since { try Tail.check(since: since) }
    _ = try url()
  }

  func run() throws {
    // Every line is out as soon as it is printed, so there is nothing left to do.
    signal(SIGINT) { _ in _exit(0) }
    var printer = EventPrinter(isRaw: raw, count: count)
    var client = EventStreamClient(url: try url())
    try client.run(take: { printer.print($0) }, notice: { Tail.tell($0) })
  }

  func url() throws -> TailURL {
    var text = stream
    let scheme = stream.prefix(8).lowercased()
    if !scheme.hasPrefix("http://") && !scheme.hasPrefix("https://") {
      try StreamArgument.check(stream)
      let all = try secrets.load()
      let name = all.isEmpty ? stream : try Sign.signed(stream, secrets: all)
      let prefix = store == .native ? nativePrefix : pgmqPrefix
      text = [server, prefix, TailURL.percentEncoded(name)].map(Tail.trimmed).joined(separator: "/")
    }
    if let since { text += (text.contains("?") ? "&" : "?") + "since=" + since }
    return try TailURL(text)
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
