/// Lays a report out as lines of text. It does no I/O.
struct TopScreen {
  /// What a piece of a line is, for a terminal that shows colors.
  enum Style: String {
    case plain = ""
    case bold = "1"
    case soft = "2"
    case bad = "1;31"
    case head = "7"
  }

  /// The size of the terminal; no rows: as many as there are lines.
  let columns: Int
  let rows: Int?
  let hasColors: Bool
  let server: String
  private var lines: [String] = []

  init(columns: Int, rows: Int?, hasColors: Bool, server: String) {
    self.columns = max(columns, 20)
    self.rows = rows
    self.hasColors = hasColors
    self.server = server
  }

  /// The lines of the screen. `problem`: why there is nothing newer.
  mutating func draw(_ report: StatusReport, problem: String? = nil) -> [String] {
    lines = []
    writeTitle(report.snapshot)
    if let problem { line((problem, .bad)) }
    if !report.isEmpty {
      writeFigures(report)
      writeSessions(report.snapshot)
      let slow = report.snapshot["slow"].list
      let left = rows.map { max($0 - lines.count, 0) }
      writeStreams(
        report.snapshot["busiest"].list, atMost: left.map { $0 - slowLines(slow, of: $0) })
      writeSlow(slow)
    }
    return rows.map { Array(lines.prefix($0)) } ?? lines
  }

  /// Slow clients get at most a third of what is left.
  private func slowLines(_ slow: [JSONTree], of left: Int) -> Int {
    slow.isEmpty ? 0 : min(slow.count + 2, max(left / 3, 4))
  }

  // MARK: The upper part

  private mutating func writeTitle(_ snapshot: JSONTree) {
    var pieces: [(String, Style)] = [("millstream \(snapshot["version"].string ?? "")", .bold)]
    pieces.append(("  \(server)", .plain))
    if let stage = snapshot["stage"].string, stage != "serving" {
      pieces.append(("  \(stage.uppercased())", .bad))
    }
    if let seconds = snapshot["uptime"].number {
      pieces.append(("  up \(Figures.duration(seconds: seconds))", .soft))
    }
    if let share = snapshot["processor"].number {
      pieces.append(("  processor \(Int((share * 100).rounded())) %", .soft))
    }
    if let bytes = snapshot["residentBytes"].number {
      pieces.append(("  memory \(Figures.bytes(bytes))", .soft))
    }
    line(pieces)
  }

  private mutating func writeFigures(_ report: StatusReport) {
    let states = report.snapshot["connections"]
    let all = ["opening", "catchingUp", "live"].reduce(0) { $0 + (states[$1].number ?? 0) }
    let blocked = states["blocked"].number ?? 0
    line(
      label("connections"), (Figures.count(all), .bold),
      (" of \(Figures.count(report.snapshot["maxConnections"].number ?? 0))", .soft),
      ("  catching up \(Figures.count(states["catchingUp"].number ?? 0))", .plain),
      ("  slow \(Figures.count(blocked))", blocked > 0 ? .bad : .plain),
      ("  opened \(rate(report, "opened"))  closed \(rate(report, "closed"))", .plain))
    writeRate("deliveries", report, "deliveries", Figures.count)
    writeRate("sent", report, "bytes", Figures.bytes)
    writeRate("messages", report, "messages", Figures.count)
    line(
      label("latency"), ("Postgres to socket ", .plain), latency(report, "broadcast"),
      ("  commit to socket ", .plain), latency(report, "commit"),
      ("  loop lag \(Figures.milliseconds(report.now("lag99")))", .plain))
  }

  private func label(_ text: String) -> (String, Style) {
    (text + String(repeating: " ", count: max(13 - text.count, 1)), .soft)
  }

  private func rate(_ report: StatusReport, _ column: String) -> String {
    report.now(column).map { Figures.count($0) + "/s" } ?? "-"
  }

  private mutating func writeRate(
    _ name: String, _ report: StatusReport, _ column: String, _ figure: (Double) -> String
  ) {
    let text = (report.now(column).map(figure) ?? "-") + "/s"
    let padded = text + String(repeating: " ", count: max(14 - text.count, 1))
    let bars = Figures.bars(
      report.series(column).map { $0 ?? 0 }, width: min(columns - 13 - padded.count, 60))
    line(label(name), (padded, .bold), (bars, .soft))
  }

  private func latency(_ report: StatusReport, _ column: String) -> (String, Style) {
    let median = Figures.milliseconds(report.now(column + "50"))
    return ("\(median), p99 \(Figures.milliseconds(report.now(column + "99")))", .bold)
  }

  private mutating func writeSessions(_ snapshot: JSONTree) {
    var pieces = [label("Postgres")]
    for loop in snapshot["loops"].list {
      let number = Figures.count(loop["number"].number ?? 0)
      if !loop["up"].isTrue { pieces.append(("loop \(number) does not answer  ", .bad)) }
      for session in loop["sessions"].list {
        let isReady = session["ready"].isTrue
        let name = "\(session["name"].string ?? "") \(number)"
        pieces.append(("\(name) \(isReady ? "ready" : "NOT READY")  ", isReady ? .plain : .bad))
      }
    }
    line(pieces)
  }

  // MARK: Tables

  private mutating func writeStreams(_ streams: [JSONTree], atMost most: Int?) {
    line()
    let name = nameWidth(of: streams, beside: 32)
    head([("STREAM", name), ("STORE", 8), ("CONNECTIONS", -12), ("MESSAGES/S", -12)])
    for stream in streams.prefix(max((most ?? .max) - 2, 0)) {
      row([
        (stream["stream"].string ?? "", name), (stream["store"].string ?? "", 8),
        (Figures.count(stream["connections"].number ?? 0), -12),
        (stream["messagesPerSecond"].number.map(Figures.count) ?? "-", -12),
      ])
    }
    if streams.isEmpty { line(("nobody is subscribed to any stream", .soft)) }
  }

  private mutating func writeSlow(_ slow: [JSONTree]) {
    if slow.isEmpty { return }
    line()
    let name = nameWidth(of: slow, beside: 79)
    head([
      ("SLOW CLIENT OF", name), ("CONNECTION", 18), ("ADDRESS", 23), ("FULL FOR", -14),
      ("IN KERNEL", -12), ("BEHIND", -12),
    ])
    for client in slow {
      row([
        (TopScreen.streams(of: client), name), (client["connection"].string ?? "", 18),
        (client["address"].string ?? "-", 23),
        (Figures.duration(seconds: (client["blockedMs"].number ?? 0) / 1000), -14),
        (Figures.bytes(client["heldBytes"].number ?? 0), -12),
        (client["behindBytes"].number.map(Figures.bytes) ?? "in store", -12),
      ])
    }
  }

  /// As wide as the names are, if there is room for that: figures stand near to what they are of.
  private func nameWidth(of items: [JSONTree], beside others: Int) -> Int {
    let longest = items.map { TopScreen.streams(of: $0).count }.max() ?? 0
    return max(min(max(longest + 2, 24), columns - others), 12)
  }

  private static func streams(of client: JSONTree) -> String {
    let others = (client["streams"].number ?? 1) - 1
    return (client["stream"].string ?? "") + (others > 0 ? " +\(Int(others))" : "")
  }

  private typealias Cell = (text: String, width: Int)

  private mutating func head(_ cells: [Cell]) { line((TopScreen.joined(cells, columns), .head)) }

  private mutating func row(_ cells: [Cell]) { line((TopScreen.joined(cells, columns), .plain)) }

  /// A negative width: flush right. Columns for which there is no room are left out.
  private static func joined(_ cells: [Cell], _ columns: Int) -> String {
    var text = ""
    for (index, cell) in cells.enumerated() {
      let width = abs(cell.width)
      if index > 0 && text.count + width > columns { break }
      let safe = PrintableText.line(cell.text)
      let clipped = safe.count < width ? safe : String(safe.prefix(max(width - 2, 1))) + "…"
      let padding = String(repeating: " ", count: max(width - clipped.count, 0))
      text += cell.width < 0 ? padding + clipped : clipped + padding
    }
    return text
  }

  // MARK: Lines

  private mutating func line(_ pieces: (String, Style)...) { line(pieces) }

  /// What does not fit is cut off: a line that goes on below would push the others away. Whatever a server
  /// says, a terminal is told nothing by it.
  private mutating func line(_ pieces: [(String, Style)]) {
    var left = columns
    var text = ""
    for (piece, style) in pieces where left > 0 {
      let shown = String(PrintableText.line(piece).prefix(left))
      left -= shown.count
      let isStyled = hasColors && style != .plain && !shown.isEmpty
      text += isStyled ? "\u{1b}[\(style.rawValue)m\(shown)\u{1b}[0m" : shown
    }
    while text.last == " " { text.removeLast() }
    lines.append(text)
  }
}
