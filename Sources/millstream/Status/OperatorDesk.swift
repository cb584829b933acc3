import Logging
import Millstream

/// What an operator may do who has the token: close connections, look into a stream. The token is in a
/// field that no page of another origin can send, and no cookie counts.
final class OperatorDesk {
  private let survey: Survey
  /// Nil: nobody may do anything.
  var token: AdminToken?
  private let logger: Logger

  init(survey: Survey, token: AdminToken?, logger: Logger) {
    self.survey = survey
    self.token = token
    self.logger = logger
  }

  /// Answers for itself where it says no.
  private func admits(_ request: AdminExchange) -> Bool {
    guard let token else {
      request.respond(404, "this needs --admin-token-file\n")
      return false
    }
    if token.matches(authorization: request.field("authorization")) { return true }
    let problem =
      request.field("authorization") == nil
      ? "this needs the token of --admin-token-file, as 'Authorization: Bearer TOKEN'"
      : "the token is another"
    request.respond(
      401, problem + "\n", fields: [("www-authenticate", "Bearer realm=\"millstream\"")])
    return false
  }

  // MARK: Closing

  /// `POST /close?connection=ID`, `?member=M` or `?stream=NAME&store=STORE`.
  func close(_ request: AdminExchange) {
    guard admits(request) else { return }
    guard let target = CloseTarget(request) else {
      return request.respond(
        400, "name one connection, one member, or one stream with its store (native, pgmq)\n")
    }
    logger.notice(
      "an operator closes connections",
      metadata: ["target": "\(target)", "address": "\(request.address ?? "local")"])
    survey.collect({ $0.closeCounted(target) }) { [survey] closed in
      let answer = JSONText.object([
        ("closed", "\(closed.values.reduce(0, +))"),
        ("silentLoops", "\(survey.reporters.count - closed.count)"),
      ])
      request.respond(200, answer + "\n", contentType: "application/json")
    }
  }

  // MARK: Looking

  /// `GET /stream?name=NAME&store=STORE`.
  func inspect(_ request: AdminExchange) {
    guard admits(request) else { return }
    guard let stream = StreamIdentity(request, name: "name") else {
      return request.respond(400, "name a stream and its store (native, pgmq)\n")
    }
    survey.collect({ $0.inspect(stream) }) { answers in
      let known = answers.compactMapValues { $0 }
      if known.isEmpty { return request.respond(404, "nobody is subscribed to this stream\n") }
      request.respond(
        200, StatusText.inspection(stream, known) + "\n", contentType: "application/json")
    }
  }
}

extension CloseTarget {
  /// That of a request's query; nil: not exactly one was named.
  fileprivate init?(_ request: AdminExchange) {
    let connection = request.query("connection"), member = request.query("member")
    switch (connection, member, StreamIdentity(request, name: "stream")) {
    case (let text?, nil, nil):
      guard let id = ConnectionID(text: text.utf8) else { return nil }
      self = .connection(id)
    case (nil, let member?, nil): self = .member(member)
    case (nil, nil, let stream?): self = .stream(stream)
    default: return nil
    }
  }
}

extension StreamIdentity {
  /// That of a request's query; nil: it names none.
  fileprivate init?(_ request: AdminExchange, name: String) {
    guard let name = request.query(name), let storeName = request.query("store"),
      let store = StoreKind.allCases.first(where: { "\($0)" == storeName })
    else { return nil }
    self.init(store: store, name: name)
  }
}
