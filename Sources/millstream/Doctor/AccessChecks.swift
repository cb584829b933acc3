import Millstream

/// Whether those answer who are asked who may listen, and who is not asked about.
struct AccessChecks {
  let report: DoctorReport
  let serve: Serve

  func run() {
    checkPublic()
    if let settings = serve.authorize.settings { ask(settings) }
    if let url = serve.tokens.jwksUrl { fetchKeys(url) }
  }

  private func checkPublic() {
    guard serve.publicPatterns.contains("*"), serve.authorize.authorizeUrl == nil else { return }
    report.warn(
      "public: '*' is every stream, for whoever knows or guesses its name",
      "give --public the patterns of those that are for everybody, or --authorize-url")
  }

  // MARK: The application

  /// As a browser that nobody has logged in, about a stream that there is not.
  private func ask(_ settings: ApplicationAuthorizer.Settings) {
    let request = HTTPRequest(
      url: settings.url,
      fields: [
        "X-Millstream-Stream: millstream-doctor:\(RandomName.make())",
        "X-Millstream-Store: \(serve.store == .pgmq ? "pgmq" : "native")",
      ], timeoutMs: settings.timeoutMs, maximumBytes: AuthorizationAnswer.maximumBytes)
    switch WaitingClient.get(request) {
    case .failure(let reason):
      report.fail(
        "authorize URL: \(reason)",
        "check --authorize-url and that the application runs; until then "
          + "whoever it has to be asked about is sent away, to come back")
    case .response(let status, let contentType, let body, let length):
      do throws(AuthorizationAnswer.Fault) {
        let permission = try AuthorizationAnswer.permission(
          status: status, contentType: contentType, body: body, length: length,
          at: Clock.system.unixSeconds)
        report(status, permission)
      } catch {
        report.fail(
          "authorize URL: what it answers a stranger is neither yes nor no: \(error)",
          "let it answer with 2xx, or with 401 or 403; JSON as in 'millstream serve --help'")
      }
    }
  }

  private func report(_ status: Int, _ permission: Permission) {
    if case .forbid = permission {
      return report.ok("authorize URL: it answers, and refuses a stranger with \(status)")
    }
    report.warn(
      "authorize URL: it lets a stranger without cookies read a stream that there is not",
      "right only if everybody may read everything: 401 or 403 refuse")
  }

  // MARK: Keys

  private func fetchKeys(_ url: String) {
    let remedy = "check --jwks-url; until then tokens with its keys are refused"
    let request = HTTPRequest(
      url: url, timeoutMs: 5_000, maximumBytes: TokenKey.maximumSetBytes, mayUseProxy: true)
    switch WaitingClient.get(request) {
    case .failure(let reason): report.fail("JWKS URL: \(reason)", remedy)
    case .response(200, _, nil, _): report.fail("JWKS URL: \(TokenKeyError.setTooLong)", remedy)
    case .response(200, _, let body?, _):
      do {
        let keys = try TokenKey.keys(fromJWKS: body, allowsSecrets: false)
        report.ok("JWKS URL: \(keys.count) keys")
      } catch {
        report.fail("JWKS URL: \(error)", remedy)
      }
    case .response(let status, _, _, _): report.fail("JWKS URL: status \(status)", remedy)
    }
  }
}

/// HTTP for commands that have nothing else to do meanwhile.
enum WaitingClient {
  static func get(_ request: HTTPRequest) -> HTTPOutcome {
    guard let loop = try? EventLoop() else { return .failure("there is no event loop to be had") }
    let client = HTTPClient(loop: loop, connections: 1)
    var outcome: HTTPOutcome?
    client.get(request) {
      outcome = $0
      loop.stop()
    }
    if outcome == nil { loop.run() }
    client.stop()
    return outcome ?? .failure("no answer")
  }
}
