import ArgumentParser

/// How the application is asked who may listen.
struct AuthorizeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Ask the application over HTTP: 2xx lets in, 401 and 403 refuse.",
      discussion: """
        It gets X-Millstream-Stream (or X-Millstream-Pattern), the client's Cookie and Authorization, its address in \
        X-Forwarded-For, and X-Request-Id. Its JSON may say {"member": "...", "metadata": {...}, \
        "labels": ["..."], "expires_at": unix seconds}.
        """, valueName: "url"))
  var authorizeUrl: String?

  @Option(help: ArgumentHelp("Refuse for now if it has not answered by then.", valueName: "time"))
  var authorizeTimeout = DurationArgument(milliseconds: 2_000)

  @Option(
    help: ArgumentHelp("How many questions at once for each loop; others wait.", valueName: "n"))
  var authorizeConcurrency = 64

  @Option(
    help: ArgumentHelp(
      "For so long, who sends the same again gets the same answer; 0s: never.", valueName: "time"))
  var authorizeCache = DurationArgument(milliseconds: 0)

  @Option(
    help: ArgumentHelp(
      "A header field of clients that it gets, too; repeatable.", valueName: "name"))
  var authorizeHeader: [String] = []

  static let environmentOptions: [EnvironmentOption] = [
    .value("authorize-url"), .value("authorize-timeout"), .value("authorize-concurrency"),
    .value("authorize-cache"), .list("authorize-header"),
  ]

  func validate() throws {
    if let authorizeUrl { try URLArgument.check(authorizeUrl, "--authorize-url") }
    guard (1...10_000).contains(authorizeConcurrency) else {
      throw ValidationError("--authorize-concurrency is from 1 to 10000")
    }
    guard authorizeTimeout.milliseconds > 0 else {
      throw ValidationError("--authorize-timeout is above 0")
    }
    for name in authorizeHeader where !AuthorizeOptions.isFieldName(name) {
      throw ValidationError("--authorize-header: '\(name)' is no name of a header field")
    }
    for name in authorizeHeader where AuthorizeOptions.isOurs(name.lowercased()) {
      throw ValidationError(
        "--authorize-header: '\(name)' cannot be sent on: clients could say what is this server's to say"
      )
    }
  }

  /// RFC 9110, 5.6.2: token.
  private static func isFieldName(_ name: String) -> Bool {
    let others = "0123456789!#$%&'*+-.^_`|~"
    return !name.isEmpty
      && name.allSatisfy { $0.isASCII && ($0.isLetter || others.contains($0)) }
  }

  /// What the question itself says, and what belongs to its connection (RFC 9110, 7.6.1).
  private static func isOurs(_ name: String) -> Bool {
    let names = [
      "x-forwarded-for", "host", "connection", "content-length", "transfer-encoding", "te",
      "trailer",
      "upgrade", "expect", "keep-alive", "proxy-connection",
    ]
    return name.hasPrefix("x-millstream-") || names.contains(name)
  }

  var settings: ApplicationAuthorizer.Settings? {
    authorizeUrl.map { url in
      ApplicationAuthorizer.Settings(
        url: url, fields: authorizeHeader, timeoutMs: authorizeTimeout.milliseconds,
        concurrency: authorizeConcurrency, cacheMs: authorizeCache.milliseconds)
    }
  }
}

/// A URL that is asked over HTTP.
enum URLArgument {
  /// - Throws: `ValidationError` that says which option's it is.
  static func check(_ url: String, _ option: String) throws {
    let rest = ["http://", "https://"].first { url.lowercased().hasPrefix($0) }
      .map { url.dropFirst($0.count) }
    guard let rest, let first = rest.first, first != "/",
      url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else {
      throw ValidationError("\(option) has to begin with http:// or https:// and name a host")
    }
  }
}
