import Logging
import Millstream

/// What is at the admin address: `/metrics`, `/healthz`, `/readyz`. On the main loop.
final class Admin {
  private let survey: Survey
  private let facts: ProcessFacts
  private let maxConnections: Int
  private var endpoint: AdminEndpoint?
  private var isShuttingDown = false

  init(mainLoop: EventLoop, loops: [(EventLoop, Instance)], socket: ListeningSocket) {
    survey = Survey(mainLoop: mainLoop, loops: loops)
    facts = ProcessFacts(loops: loops.count)
    maxConnections = loops.reduce(0) { $0 + $1.1.configuration.maxConnections }
    for (number, loop) in loops.enumerated() { loop.1.startMeasuring(ofServer: number == 0) }
    endpoint = AdminEndpoint(loop: mainLoop, socket: socket) { [unowned self] in answer($0) }
  }

  /// Where it listens.
  var address: String { endpoint?.address ?? "" }

  /// From here on no client shall be sent here, and a loop that does not turn may have come to its end.
  func shutdownBegan() {
    isShuttingDown = true
  }

  /// Nobody is answered any more.
  func stop() {
    endpoint = nil
  }

  private func answer(_ request: AdminExchange) {
    switch request.path {
    case "/metrics": survey.ask { [unowned self] in request.answer(metrics: text(of: $0)) }
    case "/readyz" where isShuttingDown: request.answer(problems: ["shutting down"])
    case "/readyz": survey.ask { request.answer(problems: Readiness.causes(of: $0)) }
    case "/healthz" where isShuttingDown: request.answer(problems: [])
    case "/healthz":
      request.answer(problems: Readiness.hanging(silentMs: survey.reporters.map(\.silentMs)))
    default: request.respond(404, "there are /metrics, /healthz and /readyz\n")
    }
  }

  private func text(of reports: [LoopReport]) -> String {
    let clients = reports.reduce(0) { $0 + ($1.snapshot?.states.count ?? 0) }
    var metrics = MetricsText()
    metrics.write(facts, clients: clients, maxConnections: maxConnections)
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
}
