import Millstream

/// Notes once a second how all loops stand, and tells it to whoever watches. Who is connected to what is
/// looked into only while somebody does. On the main loop.
final class StatusBoard {
  private let survey: Survey
  private let facts: ProcessFacts
  /// In all loops.
  var maxConnections: Int
  /// Whether an operator can do something here.
  var hasActions: Bool
  var stage = ServingStage.serving
  private let timer: TimerWatcher
  private var history = StatusHistory()
  private var pointNumber = 0
  private var reports: [LoopReport] = []
  private var watchers: [AdminExchange] = []
  private var processor = ProcessorUse()

  private static let intervalMs: Int64 = 1_000
  /// Whoever comes beyond is told to come back later.
  private static let maximumWatchers = 16

  init(
    mainLoop: EventLoop, survey: Survey, facts: ProcessFacts, maxConnections: Int, hasActions: Bool
  ) {
    self.survey = survey
    self.facts = facts
    self.maxConnections = maxConnections
    self.hasActions = hasActions
    weak var weakSelf: StatusBoard?
    timer = TimerWatcher(loop: mainLoop) { weakSelf?.tick() }
    weakSelf = self
    timer.repeatFiring(everyMs: StatusBoard.intervalMs)
  }

  func stop() {
    timer.stop()
    watchers = []
  }

  private func tick() {
    survey.ask { [weak self] in self?.took($0) }
  }

  private func took(_ reports: [LoopReport]) {
    self.reports = reports
    let nowMs = Clock.system.monotonicMs
    processor.note(facts.processorSeconds, atMs: nowMs)
    history.add(StatusTotals(reports, atMs: nowMs), unixSeconds: Clock.system.unixSeconds)
    pointNumber += 1
    watchers.removeAll(where: \.isOver)
    if !watchers.isEmpty { tellWatchers() }
  }

  /// Encoded once for all of them.
  private func tellWatchers() {
    makeSnapshot { [weak self] text in
      guard let self else { return }
      let event = StatusBoard.event("snapshot", text)
      for watcher in watchers { watcher.send(event) }
    }
  }

  private static func event(_ name: String, _ data: String) -> [UInt8] {
    Array("event: \(name)\ndata: \(data)\n\n".utf8)
  }

  // MARK: Who asks

  /// The last minutes, and from then on every second.
  func watch(_ request: AdminExchange) {
    watchers.removeAll(where: \.isOver)
    guard watchers.count < StatusBoard.maximumWatchers else {
      return request.respond(503, "there are \(watchers.count) who watch already\n")
    }
    request.startStream()
    request.send(StatusBoard.event("history", historyText))
    watchers.append(request)
    tellWatchers()
  }

  /// All of it, once.
  func answer(_ request: AdminExchange) {
    makeSnapshot { [weak self] text in
      guard let self else { return }
      let all = "{\"history\":" + historyText + ",\"snapshot\":" + text + "}\n"
      request.respond(200, all, contentType: "application/json")
    }
  }

  private var historyText: String {
    JSONText.object([
      ("columns", JSONText.list(StatusPoint.columns.map(JSONText.string))),
      ("points", JSONText.list(history.points.map(\.json))), ("number", "\(pointNumber)"),
    ])
  }

  private func makeSnapshot(_ done: @escaping (String) -> Void) {
    // Somebody was here in the first second.
    guard !reports.isEmpty else {
      return survey.ask { [weak self] in
        self?.reports = $0
        self?.makeSnapshot(done)
      }
    }
    survey.collect({ $0.takeCensus() }) { [weak self] censuses in
      guard let self else { return }
      done(snapshotText(censuses))
    }
  }

  private func snapshotText(_ censuses: [Int: Census]) -> String {
    let processText = StatusText.process(
      facts, processor: processor.share, maxConnections: maxConnections)
    return JSONText.object(
      processText + StatusText.totals(reports) + [
        ("number", "\(pointNumber)"), ("point", history.last?.json ?? "null"),
        ("loops", JSONText.list(reports.map(StatusText.loop))),
        ("busiest", StatusText.busiest(censuses.values.map(\.busiest))),
        ("slow", StatusText.slow(censuses.values.flatMap(\.slow))),
        ("actions", "\(hasActions)"), ("stage", JSONText.string(stage.rawValue)),
      ])
  }
}

/// How much of a processor was used in the last second.
struct ProcessorUse {
  /// 1: one processor, all the time; nil: not known yet.
  private(set) var share: Double?
  private var last: (seconds: Double, atMs: Int64)?

  mutating func note(_ seconds: Double, atMs: Int64) {
    if let last, atMs > last.atMs {
      share = max(seconds - last.seconds, 0) * 1000 / Double(atMs - last.atMs)
    }
    last = (seconds, atMs)
  }
}
