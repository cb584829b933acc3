import Testing

@testable import millstream

@Suite struct EventPrinterTests {
  private func text(_ event: EventStreamParser.Event, isForTerminal: Bool = false) -> String {
    EventPrinter(isRaw: false, isForTerminal: isForTerminal, count: nil).text(of: event)
  }

  @Test func anEventIsALine() {
    #expect(text(.init(id: "7-a", type: "reload", data: "x")) == "7-a reload x")
    #expect(text(.init(type: "message", data: "x\n\ny")) == "- message x\n  \n  y")
  }

  @Test func ofSeveralStreamsItsOwnStandsFirst() {
    #expect(text(.init(id: "c1 room:1 7", type: "message", data: "x")) == "room:1 7 message x")
    #expect(text(.init(id: "c1 room:1", type: "message", data: "x")) == "room:1 - message x")
  }

  /// A program that reads gets what was published; a terminal nothing that it would obey.
  @Test func aTerminalGetsNoCommands() {
    let hostile = "\u{1b}]0;t\u{7}\u{9b}2J\u{7f}"
    let event = EventStreamParser.Event(
      id: "c \(hostile) 1", type: hostile, data: "a\t\(hostile)\n\(hostile)")
    let safe = "\u{fffd}]0;t\u{fffd}\u{fffd}2J\u{fffd}"
    #expect(text(event) == "\(hostile) 1 \(hostile) a\t\(hostile)\n  \(hostile)")
    #expect(text(event, isForTerminal: true) == "\(safe) 1 \(safe) a\t\(safe)\n  \(safe)")
  }

  @Test func aCommentDoesNotCount() {
    var printer = EventPrinter(isRaw: false, isForTerminal: false, count: 1)
    let wantsMore = printer.print(.comment("hi"))
    #expect(wantsMore)
  }
}
