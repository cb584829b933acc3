import Logging
import Millstream

/// What is at the admin address: the status page, what a page and programs read, and what an operator may
/// do. On the main loop.
final class Admin {
  private let survey: Survey
  private let facts: ProcessFacts
  /// In all loops.
  var maxConnections: Int { didSet { board.maxConnections = maxConnections } }
  /// What SIGHUP asked for at last was in order and is in force; so is what it was started with.
  var isLastReloadSuccessful = true
  private let mainLoop: EventLoop
  private let board: StatusBoard
  private let desk: OperatorDesk
  private let hosts: AdminHosts
  private var endpoint: AdminEndpoint?
  private var stage = ServingStage.serving { didSet { board.stage = stage } }

  init(
    mainLoop: EventLoop, loops: [(EventLoop, Instance)], settings: AdminSettings, logger: Logger
  ) {
    self.mainLoop = mainLoop
    survey = Survey(mainLoop: mainLoop, loops: loops)
    facts = ProcessFacts(loops: loops.count)
    maxConnections = loops.reduce(0) { $0 + $1.1.configuration.maxConnections }
    hosts = settings.hosts
    board = StatusBoard(
      mainLoop: mainLoop, survey: survey, facts: facts, maxConnections: maxConnections,
      hasActions: settings.token != nil)
    desk = OperatorDesk(survey: survey, token: settings.token, logger: logger)
    for (number, loop) in loops.enumerated() { loop.1.startMeasuring(ofServer: number == 0) }
  }

  /// Answers from now on.
  func open(_ socket: ListeningSocket) {
    endpoint = AdminEndpoint(loop: mainLoop, socket: socket) { [unowned self] in answer($0) }
  }

  /// Where it listens; nil: nowhere yet.
  var address: String? { endpoint?.address }

  /// Who has this token may do things from now on; nil: nobody.
  func exchange(token: AdminToken?) {
    desk.token = token
    board.hasActions = token != nil
  }

  /// From here on no client shall be sent here.
  func drainBegan() {
    stage = .draining
  }

  /// From here on no client shall be sent here, and a loop that does not turn may have come to its end.
  func shutdownBegan() {
    stage = .shuttingDown
  }

  /// Nobody is answered any more.
  func stop() {
    board.stop()
    endpoint = nil
  }

  private static let closePath = "/close"

  private func answer(_ request: AdminExchange) {
    if request.isPost != (request.path == Admin.closePath) {
      return request.refuseMethod(request.isPost ? "GET, HEAD" : "POST")
    }
    switch request.path {
    case "/metrics": survey.ask { [unowned self] in request.answer(metrics: text(of: $0)) }
    case "/readyz" where stage != .serving: request.answer(problems: [stage.rawValue])
    case "/readyz": survey.ask { request.answer(problems: Readiness.causes(of: $0)) }
    case "/healthz" where stage == .shuttingDown: request.answer(problems: [])
    case "/healthz":
      request.answer(problems: Readiness.hanging(silentMs: survey.reporters.map(\.silentMs)))
    case "/", "/status", "/status.json", "/stream", Admin.closePath:
      guard hosts.allow(request.field("host")) else { return request.answerForeignHost() }
      guard !isForOtherSite(request) else { return request.answerOtherSite() }
      answerPeople(request)
    default:
      request.respond(404, "there are /, /status, /status.json, /metrics, /healthz and /readyz\n")
    }
  }

  /// A page of another site can read nothing of this, but its requests would take the places of those who look here.
  /// It may lead to the page.
  private func isForOtherSite(_ request: AdminExchange) -> Bool {
    request.path != "/" && request.field("sec-fetch-site") == "cross-site"
  }

  private func answerPeople(_ request: AdminExchange) {
    switch request.path {
    case "/": request.answerPage()
    case "/status": board.watch(request)
    case "/status.json": board.answer(request)
    case "/stream": desk.inspect(request)
    default: desk.close(request)
    }
  }

  private func text(of reports: [LoopReport]) -> String {
    let clients = reports.reduce(0) { $0 + ($1.snapshot?.states.count ?? 0) }
    var metrics = MetricsText()
    metrics.write(facts, clients: clients, maxConnections: maxConnections)
    metrics.write(isLastReloadSuccessful: isLastReloadSuccessful)
    metrics.write(reports)
    return metrics.text
  }
}

extension AdminExchange {
  fileprivate func answer(metrics text: String) {
    respond(200, text, contentType: MetricsText.contentType)
  }

  fileprivate func answer(problems: [String]) {
    if problems.isEmpty { return respond(200, "ok\n") }
    respond(503, problems.map { $0 + "\n" }.joined())
  }

  fileprivate func answerForeignHost() {
    respond(403, "ask for an IP address, for localhost, or for a name that --admin-host gives\n")
  }

  fileprivate func answerOtherSite() {
    respond(403, "this is not for pages of other sites\n")
  }

  /// Nothing of others is in it, and nobody else may frame it.
  fileprivate func answerPage() {
    respond(
      200, String(decoding: PackageResources.status_html, as: UTF8.self),
      contentType: "text/html; charset=utf-8",
      fields: [
        (
          "content-security-policy",
          "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; "
            + "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
            + "frame-ancestors 'none'"
        ), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
      ])
  }
}
