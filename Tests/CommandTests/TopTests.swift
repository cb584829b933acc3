import Testing

@testable import millstream

@Suite struct FiguresTests {
  @Test func counts() {
    let expected: [(Double, String)] = [
      (0, "0"), (1, "1"), (2.44, "2.4"), (9.96, "10"), (12.4, "12"), (999, "999"), (1234, "1,234"),
      (999_999, "999,999"), (1_250_000, "1.25 M"), (2e9, "2 G"),
    ]
    for (value, text) in expected { #expect(Figures.count(value) == text) }
  }

  @Test func bytes() {
    let expected: [(Double, String)] = [
      (0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (66_791, "66.8 kB"), (262_144, "262 kB"),
      (4_300_000, "4.3 MB"), (5e12, "5 TB"),
    ]
    for (value, text) in expected { #expect(Figures.bytes(value) == text) }
  }

  @Test func times() {
    #expect(Figures.milliseconds(nil) == "-" && Figures.milliseconds(0.05) == "0.05 ms")
    #expect(Figures.milliseconds(9.54) == "9.5 ms" && Figures.milliseconds(1_500) == "1.5 s")
    #expect(Figures.duration(seconds: 0) == "0 s" && Figures.duration(seconds: 61) == "1 min 1 s")
    #expect(Figures.duration(seconds: 3_600) == "1 h")
    #expect(Figures.duration(seconds: 90_000) == "1 d 1 h")
  }

  @Test func bars() {
    #expect(Figures.bars([0, 1, 4, 8], width: 3) == "▁▄█")
    #expect(Figures.bars([0, 0], width: 5) == "" && Figures.bars([1], width: -3) == "")
  }
}

@Suite struct JSONTreeTests {
  @Test func readsWhatThereIs() throws {
    let tree = try #require(JSONTree(#"{"a":[1,-2.5,"x\n",null,true],"b":{"c":{}}}"#))
    #expect(tree["a"] == .list([.number(1), .number(-2.5), .string("x\n"), .null, .bool(true)]))
    #expect(tree["b"]["c"] == .object([:]) && tree["b"]["d"]["e"] == .null)
    #expect(JSONTree("{") == nil && JSONTree("") == nil)
  }
}

@Suite struct TopScreenTests {
  static func report() -> StatusReport {
    var report = StatusReport()
    let streams = (0..<30).map {
      #"{"store":"native","stream":"room:\#($0)","connections":\#(100 - $0),"messagesPerSecond":1.5}"#
    }
    let slow = (0..<20).map {
      #"{"connection":"00000000000000\#($0 + 10)","stream":"s","store":"pgmq","address":"10.0.0.1:5","#
        + #""blockedMs":61000,"heldBytes":66791,"behindBytes":null}"#
    }
    let snapshot = """
      {"version":"1.2.3","uptime":3661,"processor":0.5,"residentBytes":33000000,"maxConnections":20000,\
      "connections":{"opening":1,"catchingUp":2,"live":1231,"blocked":20},"number":2,"point":[7,12.5],\
      "loops":[{"number":0,"up":true,"sessions":[{"name":"listen","ready":true},\
      {"name":"read","ready":false}]},{"number":1,"up":false}],\
      "busiest":[\(streams.joined(separator: ","))],"slow":[\(slow.joined(separator: ","))]}
      """
    _ = report.take(
      .init(
        type: "history", data: #"{"columns":["time","deliveries"],"points":[[6,1]],"number":1}"#))
    _ = report.take(.init(type: "snapshot", data: snapshot))
    return report
  }

  @Test func showsTheFigures() {
    var screen = TopScreen(columns: 120, rows: nil, hasColors: false, server: "here:1")
    let text = screen.draw(Self.report()).joined(separator: "\n")
    for part in [
      "millstream 1.2.3  here:1  up 1 h 1 min  processor 50 %  memory 33 MB", "1,234 of 20,000",
      "catching up 2  slow 20", "13/s", "read 0 NOT READY", "loop 1 does not answer", "room:29",
      "1 min 1 s", "66.8 kB", "in store",
    ] { #expect(text.contains(part), "\(part) in \(text)") }
  }

  @Test(arguments: [20, 40, 79, 80, 200], [1, 5, 24, 50])
  func fitsTheTerminal(columns: Int, rows: Int) {
    var screen = TopScreen(columns: columns, rows: rows, hasColors: false, server: "here:1")
    let lines = screen.draw(Self.report(), problem: "the server closed the connection")
    #expect(lines.count <= rows)
    #expect(lines.allSatisfy { $0.count <= columns })
  }

  /// It may be another server than it should be.
  @Test func nothingThatAServerSaysReachesTheTerminalAsACommand() {
    var report = StatusReport()
    _ = report.take(
      .init(
        type: "snapshot",
        data:
          #"{"version":"\u001b[2J","stage":"\u009b2J","loops":[{"up":true,"sessions":[{"name":"\u0007"}]}]}"#
      ))
    var screen = TopScreen(columns: 100, rows: nil, hasColors: false, server: "here:1")
    let lines = screen.draw(report, problem: "\u{1b}c")
    #expect(lines.allSatisfy { PrintableText.line($0) == $0 })
  }

  @Test(arguments: ["1e999", "-1e999", "1e300", "-1e18", "9223372036854775807", "5e-324"])
  func figuresOfAnySizeAreShown(number: String) {
    var report = StatusReport()
    let names = ["deliveries", "bytes", "messages", "opened", "closed", "lag99", "broadcast50"]
    let columns = names.map { "\"\($0)\"" }.joined(separator: ",")
    let point = names.map { _ in number }.joined(separator: ",")
    _ = report.take(
      .init(type: "history", data: #"{"columns":[\#(columns)],"points":[[\#(point)]]}"#))
    _ = report.take(
      .init(
        type: "snapshot",
        data: """
          {"uptime":\(number),"processor":\(number),"residentBytes":\(number),"maxConnections":\(number),\
          "connections":{"opening":\(number),"catchingUp":\(number),"live":\(number),"blocked":\(number)},\
          "loops":[{"number":\(number)}],"busiest":[{"connections":\(number),"messagesPerSecond":\(number)}],\
          "slow":[{"streams":\(number),"blockedMs":\(number),"heldBytes":\(number),"behindBytes":\(number)}]}
          """))
    var screen = TopScreen(columns: 120, rows: nil, hasColors: false, server: "here:1")
    #expect(screen.draw(report).count > 10)
  }

  /// However many streams there are, slow clients are seen.
  @Test func leavesRoomForSlowClients() {
    var screen = TopScreen(columns: 100, rows: 30, hasColors: false, server: "here:1")
    let lines = screen.draw(Self.report())
    #expect(
      lines.contains { $0.hasPrefix("SLOW CLIENT OF") } && lines.contains { $0.hasPrefix("room:9") }
    )
  }

  @Test func colorsOnlyWhereTheyAreWanted() {
    var colored = TopScreen(columns: 80, rows: 24, hasColors: true, server: "here:1")
    #expect(colored.draw(Self.report()).contains { $0.contains("\u{1b}[") })
    var plain = TopScreen(columns: 80, rows: 24, hasColors: false, server: "here:1")
    #expect(!plain.draw(Self.report()).contains { $0.contains("\u{1b}") })
  }

  @Test func aPointCountsOnce() {
    var report = Self.report()
    #expect(report.series("deliveries") == [1, 12.5] && report.now("deliveries") == 12.5)
    _ = report.take(.init(type: "snapshot", data: #"{"number":2,"point":[8,99]}"#))
    #expect(report.series("deliveries") == [1, 12.5])
    let isTaken = report.take(.init(type: "message", data: "x"))
    #expect(!isTaken)
  }
}
