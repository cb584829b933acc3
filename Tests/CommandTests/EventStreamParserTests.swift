import Testing

@testable import millstream

@Suite struct EventStreamParserTests {
  private func items(_ text: String) -> [EventStreamParser.Item] {
    var parser = EventStreamParser()
    return parser.consume(text.utf8)
  }

  private func event(_ data: String, id: String? = nil, type: String = "message")
    -> EventStreamParser.Item
  {
    .event(EventStreamParser.Event(id: id, type: type, data: data))
  }

  @Test(arguments: ["\n", "\r", "\r\n"])
  func everyLineEndCounts(lineEnd: String) {
    let text = ["id: 1", "event: reload", "data: a", "data: b", "", ""].joined(separator: lineEnd)
    #expect(items(text) == [event("a\nb", id: "1", type: "reload")])
  }

  @Test func anyPiecesGiveTheSame() {
    let text = "\u{feff}: hi\r\nid: 7\r\ndata: ä\r\ndata\r\n\r\nretry: 10\r\rdata:x\n\n"
    var parser = EventStreamParser()
    let single = text.utf8.flatMap { parser.consume([$0]) }
    #expect(single == items(text))
    #expect(single == [.comment(" hi"), event("ä\n", id: "7"), event("x")])
    #expect(parser.retryMs == 10)
    #expect(parser.lastEventID == "7")
  }

  /// The examples of the standard.
  @Test func examplesOfTheStandard() {
    #expect(
      items("data: YHOO\ndata: +2\ndata: 10\n\n") == [event("YHOO\n+2\n10")])
    #expect(items("data\n\ndata\ndata\n\ndata:") == [event(""), event("\n")])
    #expect(items("data:test\n\ndata: test\n\n") == [event("test"), event("test")])
    #expect(
      items(
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
      )
        == [
          .comment(" test stream"), event("first event", id: "1"), event("second event", id: ""),
          event(" third event"),
        ])
  }

  @Test func anIDWithoutDataMovesTheCursor() {
    var parser = EventStreamParser()
    #expect(parser.consume("id: 9\n\n".utf8) == [])
    #expect(parser.lastEventID == "9")
  }

  @Test func anIDOfAnUnfinishedEventDoesNotCount() {
    var parser = EventStreamParser()
    _ = parser.consume("id: 1\ndata: a\n\nid: 2\ndata: b\n".utf8)
    parser.reset()
    #expect(parser.lastEventID == "1")
    #expect(parser.consume("data: c\n\n".utf8) == [event("c")])
    #expect(parser.lastEventID == "1")
  }

  @Test func anIDWithNULIsIgnored() {
    var parser = EventStreamParser()
    _ = parser.consume("id: 1\n\nid: 2\0\ndata: a\n\n".utf8)
    #expect(parser.lastEventID == "1")
  }

  @Test func retryIsDigitsOnly() {
    var parser = EventStreamParser()
    _ = parser.consume("retry: 50\nretry: 1s\nretry: -1\nretry:\n".utf8)
    #expect(parser.retryMs == 50)
    _ = parser.consume(
      "retry: 9223372036854775808\nretry: \(String(repeating: "9", count: 400))\n".utf8)
    #expect(parser.retryMs == 50)
  }

  @Test func aByteOrderMarkIsOneOnlyAtTheBeginning() {
    #expect(items("\u{feff}data: a\n\n") == [event("a")])
    #expect(items("data: a\n\n\u{feff}data: b\n\n") == [event("a")])
  }

  @Test func unknownFieldsAndCasesAreIgnored() {
    #expect(items("Data: a\nfoo: b\ndata : c\n\n") == [])
  }
}
