import Millstream
import Testing

@testable import millstream

@Suite struct HistogramWindowTests {
  static func histogram(_ us: [Int64]) -> Histogram {
    var histogram = Histogram()
    for value in us { histogram.observe(us: value) }
    return histogram
  }

  @Test func nothingHasNoQuantile() {
    let all = Self.histogram([5, 700])
    #expect(HistogramWindow(from: all, to: all).quantileMs(0.5) == nil)
  }

  /// As far as the ranges tell: evenly within each.
  @Test func quantilesAreOfWhatCameInBetween() {
    let before = Self.histogram([9_000_000])
    let after =
      before + Self.histogram(Array(repeating: 700, count: 90) + Array(repeating: 8_000, count: 10))
    let window = HistogramWindow(from: before, to: after)
    #expect(abs(window.quantileMs(0.45)! - 0.75) < 0.001)
    #expect(window.quantileMs(0.9) == 1)
    #expect(abs(window.quantileMs(0.95)! - 7.5) < 0.001)
    #expect(window.quantileMs(1) == 10)
  }

  @Test func whatIsAboveAllRangesIsShownAsTheLastBound() {
    let window = HistogramWindow(from: Histogram(), to: Self.histogram([99_000_000]))
    #expect(window.quantileMs(0.5) == 10_000)
  }
}

@Suite struct StatusHistoryTests {
  static func point(_ seconds: Int64) -> StatusPoint {
    var point = StatusPoint()
    point.unixSeconds = seconds
    return point
  }

  @Test func theOldestGoesWhenItIsFull() {
    var history = StatusHistory()
    #expect(history.points.isEmpty && history.last == nil)
    for second: Int64 in 1...3 { history.put(Self.point(second)) }
    #expect(history.points.map(\.unixSeconds) == [1, 2, 3] && history.last?.unixSeconds == 3)
    for second: Int64 in 4...Int64(StatusHistory.seconds + 7) { history.put(Self.point(second)) }
    #expect(history.points.map(\.unixSeconds) == Array(8...Int64(StatusHistory.seconds + 7)))
    #expect(history.last?.unixSeconds == Int64(StatusHistory.seconds + 7))
  }

  @Test func onePointNeedsTwoMoments() {
    var history = StatusHistory()
    history.add(StatusTotals([], atMs: 0), unixSeconds: 1)
    #expect(history.points.isEmpty)
    history.add(StatusTotals([], atMs: 1_000), unixSeconds: 2)
    #expect(history.points.map(\.unixSeconds) == [2])
  }

  @Test func aPointHasAValueForEachColumn() throws {
    let tree = try #require(JSONTree(StatusPoint().json))
    #expect(tree.list.count == StatusPoint.columns.count)
    #expect(tree.list[StatusPoint.columns.firstIndex(of: "commit99")!] == .null)
  }
}

@Suite struct JSONTextTests {
  @Test func numbersAreWhatJSONAllows() {
    #expect(JSONText.number(nil) == "null" && JSONText.number(.nan) == "null")
    #expect(JSONText.number(.infinity) == "null" && JSONText.number(0) == "0")
    #expect(JSONText.number(1_234_567) == "1234567" && JSONText.number(0.12345) == "0.123")
    #expect(JSONText.number(0.00001) == "0")
  }
}

@Suite struct BusiestTests {
  static func standing(_ name: String, _ connections: Int, _ rate: Double?) -> StreamStanding {
    StreamStanding(
      stream: StreamIdentity(store: .native, name: name), connections: connections,
      messagesPerSecond: rate)
  }

  /// Connections are spread over the loops, messages come to each.
  @Test func loopsAreAddedUp() throws {
    let text = StatusText.busiest([
      [Self.standing("a", 3, 5), Self.standing("b", 4, nil)], [Self.standing("a", 2, 4)],
    ])
    let list = try #require(JSONTree(text)).list
    #expect(list.map { $0["stream"].string } == ["a", "b"])
    #expect(list[0]["connections"] == .number(5) && list[0]["messagesPerSecond"] == .number(5))
    #expect(list[1]["messagesPerSecond"] == .null)
  }

  @Test func thoseWithMostMessagesAreInTooThoughTheyHaveFewConnections() throws {
    let crowded = (0..<60).map { Self.standing("c\($0)", 100 + $0, 0) }
    let text = StatusText.busiest([crowded + [Self.standing("busy", 1, 9)]])
    let list = try #require(JSONTree(text)).list
    #expect(list.count == 21 && list.last?["stream"].string == "busy")
    #expect(list[0]["stream"].string == "c59")
  }
}

@Suite struct AdminTokenTests {
  @Test func onlyTheWholeTokenMatches() throws {
    let token = try #require(AdminToken(Array("0123456789abcdef".utf8)))
    #expect(token.matches(authorization: "Bearer 0123456789abcdef"))
    #expect(token.matches(authorization: "bearer 0123456789abcdef"))
    for field in [
      nil, "", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdefg",
      "Bearer 0123456789abcdeF", "Basic 0123456789abcdef", "0123456789abcdef",
    ] { #expect(!token.matches(authorization: field)) }
  }

  @Test func shortOnesAndThoseWithBlanksAreRefused() {
    #expect(AdminToken(Array("0123456789abcde".utf8)) == nil)
    #expect(AdminToken(Array("0123456789 abcdef".utf8)) == nil)
    #expect(AdminToken(Array("0123456789abcdé".utf8)) == nil)
  }
}

@Suite struct AdminHostsTests {
  @Test(arguments: [
    nil, "127.0.0.1", "127.0.0.1:9464", "10.1.2.3:80", "[::1]", "[::1]:9464", "localhost",
    "LOCALHOST:9464", "admin.internal", "Admin.Internal:9464",
  ])
  func allowed(host: String?) {
    #expect(AdminHosts(["Admin.internal"]).allow(host))
  }

  @Test(arguments: [
    "", "evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil.example",
    "admin.internal.evil.example", "127.1:9464x.evil", "[::1",
  ])
  func refused(host: String) {
    #expect(!AdminHosts(["admin.internal"]).allow(host))
  }
}
