/// Prints what an event stream brings, for people and for `grep`.
struct EventPrinter {
  private let isRaw: Bool
  /// A terminal obeys what it is sent, so it is not sent that; a program wants the text as it is.
  private let isForTerminal: Bool
  private var left: Int?

  /// - Parameter count: how many events to print; nil: all.
  init(isRaw: Bool, isForTerminal: Bool, count: Int?) {
    self.isRaw = isRaw
    self.isForTerminal = isForTerminal
    left = count
  }

  /// Whether more is wanted.
  mutating func print(_ item: EventStreamParser.Item) -> Bool {
    switch item {
    case .comment(let text):
      if isRaw { StandardStreams.output(shown(":" + text)) }
      return true
    case .event(let event) where event.type.hasPrefix("pgbus:") && !isRaw:
      StandardStreams.notice("\(event.type) \(event.data)")
      return true
    case .event(let event):
      StandardStreams.output(text(of: event))
      left = left.map { $0 - 1 }
      return left != 0
    }
  }

  /// `ID EVENT DATA`, the data's further lines indented by two; `STREAM ID EVENT DATA` where the id says of
  /// which of several streams it is: `CURSOR STREAM`, and the stream's own id if it has one.
  func text(of event: EventStreamParser.Event) -> String {
    var id = event.id.map { $0.isEmpty ? "-" : $0 } ?? "-"
    let words = id.split(separator: " ")
    if words.count > 1 { id = words[1] + " " + (words.count > 2 ? words[2] : "-") }
    let lines = event.data.split(separator: "\n", omittingEmptySubsequences: false)
    return shown("\(id) \(event.type) " + lines.joined(separator: "\n  "))
  }

  private func shown(_ text: String) -> String { isForTerminal ? PrintableText.lines(text) : text }
}
