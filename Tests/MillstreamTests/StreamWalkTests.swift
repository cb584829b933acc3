import Testing

@testable import Millstream

@Suite struct StreamWalkTests {
  static func streams(_ count: Int) -> [Stream] {
    (0..<count).map { Stream(store: .native, storageName: Array("s\($0)".utf8)) }
  }

  /// As many steps as a walk over all of them takes; it began at `nowMs`.
  static func walk(_ walk: inout StreamWalk, over streams: [Stream], nowMs: Int64) {
    for _ in 0..<40 { walk.step(over: streams, nowMs: nowMs) }
  }

  @Test func messagesAreCountedByTheSecondFromTheSecondWalkOn() throws {
    let table = ConnectionTable()
    let streams = Self.streams(3)
    streams[1].join(table.allocate())
    streams[1].messageCount = 1_000
    var walk = StreamWalk(nowMs: 0)
    Self.walk(&walk, over: streams, nowMs: 0)
    #expect(walk.standings.map(\.stream.name) == ["s1"], "without connections none is shown")
    #expect(walk.standings[0].messagesPerSecond == nil)
    streams[1].messageCount += 30
    Self.walk(&walk, over: streams, nowMs: 2_000)
    #expect(walk.standings[0].messagesPerSecond == 15)
    Self.walk(&walk, over: streams, nowMs: 3_000)
    #expect(walk.standings[0].messagesPerSecond == 0)
    #expect(walk.standings[0].connections == 1)
  }

  @Test func countersMayWrap() {
    let table = ConnectionTable()
    let streams = Self.streams(1)
    streams[0].join(table.allocate())
    streams[0].messageCount = .max - 1
    var walk = StreamWalk(nowMs: 0)
    Self.walk(&walk, over: streams, nowMs: 0)
    streams[0].messageCount &+= 4
    Self.walk(&walk, over: streams, nowMs: 1_000)
    #expect(walk.standings[0].messagesPerSecond == 4)
    withExtendedLifetime(table) {}
  }

  @Test func theNextWalkWaitsForASecond() {
    let table = ConnectionTable()
    let streams = Self.streams(1)
    streams[0].join(table.allocate())
    var walk = StreamWalk(nowMs: 0)
    Self.walk(&walk, over: streams, nowMs: 0)
    streams[0].messageCount = 5
    Self.walk(&walk, over: streams, nowMs: 999)
    #expect(streams[0].countedMessages == 0)
    Self.walk(&walk, over: streams, nowMs: 1_000)
    #expect(streams[0].countedMessages == 5)
    withExtendedLifetime(table) {}
  }

  /// Those with most connections, and those with most messages, whatever the other is.
  @Test func theFirstOfBothOrdersAreFound() {
    let table = ConnectionTable()
    let streams = Self.streams(200)
    for (index, stream) in streams.enumerated() {
      for _ in 0...(index / 50) { stream.join(table.allocate()) }
    }
    var walk = StreamWalk(nowMs: 0)
    Self.walk(&walk, over: streams, nowMs: 0)
    for index in 0..<10 { streams[index].messageCount = UInt32(100 + index) }
    Self.walk(&walk, over: streams, nowMs: 1_000)
    #expect(walk.standings.count == StreamWalk.kept + 10)
    #expect(walk.standings.prefix(StreamWalk.kept).allSatisfy { $0.connections == 4 })
    #expect(
      walk.standings.suffix(10).map(\.stream.name)
        == (0..<10).reversed().map { "s\($0)" })
  }

  /// 100,000 streams are not looked at in one step.
  @Test func aStepIsAPartOfMany() {
    let streams = Self.streams(20_000)
    for stream in streams { stream.messageCount = 1 }
    var walk = StreamWalk(nowMs: 0)
    walk.step(over: streams, nowMs: 0)
    #expect(streams.count { $0.countedMessages == 1 } == 1_000)
    Self.walk(&walk, over: streams, nowMs: 0)
    #expect(streams.allSatisfy { $0.countedMessages == 1 })
  }

  @Test func streamsThatGoMeanwhileAreNoHarm() {
    var streams = Self.streams(2_000)
    var walk = StreamWalk(nowMs: 0)
    walk.step(over: streams, nowMs: 0)
    streams.removeLast(1_990)
    walk.step(over: streams, nowMs: 0)
    #expect(walk.standings.isEmpty)
  }
}

@Suite struct LastFramesTests {
  @Test func theNewestComeFirst() {
    var log = StreamLog(tip: 0, epoch: nil)
    for id: Int64 in 1...5 { withMessage(id: id, "m\(id)") { log.append($0) } }
    let frames = log.lastFrames(3)
    #expect(frames.map(\.id) == [5, 4, 3])
    #expect(frames[0].text.contains("data: m5\n") && frames[0].bytes == frames[0].text.utf8.count)
  }

  @Test func longOnesAreCutOff() {
    var log = StreamLog(tip: 0, epoch: nil)
    withMessage(id: 1, String(repeating: "x", count: 5_000)) { log.append($0) }
    let frame = log.lastFrames(10)
    #expect(frame.count == 1 && frame[0].bytes > 5_000 && frame[0].text.utf8.count == 2_048)
  }
}
