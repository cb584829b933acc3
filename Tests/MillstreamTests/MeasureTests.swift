import Logging
import Testing

@testable import Millstream

@Suite struct HistogramTests {
  /// A range holds its upper end.
  @Test func eachRangeEndsWithItsBound() {
    for (index, bound) in Histogram.boundsUs.enumerated() {
      var histogram = Histogram()
      histogram.observe(us: bound)
      #expect(histogram.counts[index] == 1)
      histogram.observe(us: bound + 1)
      #expect(histogram.counts[index + 1] == 1)
      #expect(histogram.count == 2 && histogram.sumUs == UInt64(2 * bound + 1))
    }
  }

  @Test func clockThatWentBackIsNoTime() {
    var histogram = Histogram()
    histogram.observe(us: -5)
    #expect(histogram.counts[0] == 1 && histogram.sumUs == 0)
  }

  @Test func loopsAddUp() {
    var one = Histogram()
    var other = Histogram()
    for us: Int64 in [50, 700, 99_000_000] { one.observe(us: us) }
    other.observe(us: 700)
    let sum = one + other
    #expect(sum.count == 4 && sum.sumUs == 99_001_450)
    #expect(sum.counts[3] == 2 && sum.counts.last == 1)
    #expect(sum == other + one)
  }
}

@Suite struct LoopLagTests {
  @Test func lateIsWhatComesAfterTheInterval() {
    var lag = LoopLag(intervalMs: 50)
    #expect(lag.fired(nowUs: 1_000_000) == nil)
    #expect(lag.fired(nowUs: 1_050_000) == 0)
    #expect(lag.fired(nowUs: 1_103_000) == 3_000)
    #expect(lag.fired(nowUs: 1_150_000) == 0, "it is due when it would have been")
  }

  @Test func missedFiringsAreNotMadeUpFor() {
    var lag = LoopLag(intervalMs: 50)
    _ = lag.fired(nowUs: 0)
    #expect(lag.fired(nowUs: 1_000_000) == 950_000)
    #expect(lag.fired(nowUs: 1_000_100) == 100, "libev fires at once, and then again in time")
    #expect(lag.fired(nowUs: 1_050_000) == 0)
  }
}

@Suite struct LogMemoryTests {
  /// In steps, and right after a walk over all.
  @Test func sumOfAllStreams() {
    var memory = LogMemory()
    var streams = (0..<1000).map { Stream(store: .native, storageName: Array("s\($0)".utf8)) }
    for stream in streams {
      withMessage(id: 1, "hello") { stream.log.append($0) }
    }
    for _ in 0..<15 { memory.step(over: streams) }
    #expect(memory.byteCount == 0, "the first walk is not at its end")
    memory.step(over: streams)
    #expect(memory.byteCount == 1000 * StreamLog.smallestChunk)
    for _ in 0..<5 { memory.step(over: streams) }
    streams.removeLast(999)
    memory.step(over: streams)
    memory.step(over: streams)
    #expect(memory.byteCount == StreamLog.smallestChunk)
  }

  @Test func noStreamsTakeNothing() {
    var memory = LogMemory()
    memory.step(over: [])
    #expect(memory.byteCount == 0)
  }
}

@Suite struct ConnectionAgeTests {
  /// Half a year is 2 to the 24 seconds, or nearly.
  @Test(arguments: [UInt32(0), 1, 255, 256, 65_536, 0xFF_FFFF, 0x100_0000, 0xFFFF_FFFF])
  func ageSurvivesTheLimitOfItsBits(came: UInt32) {
    let table = ConnectionTable()
    withExtendedLifetime(table) {
      let connection = table.allocate()
      connection.pointee.cameSeconds = came
      for age: UInt32 in [0, 1, 300, 1_000_000] {
        #expect(connection.pointee.ageSeconds(nowSeconds: came &+ age) == age)
      }
    }
  }
}

@Suite struct SentIDTests {
  @Test func onlyWhatWasSentWholeCounts() {
    var log = StreamLog(tip: 4, epoch: nil)
    var ends: [UInt64] = []
    for id: Int64 in 5...7 {
      withMessage(id: id, "m\(id)") { log.append($0) }
      ends.append(log.end)
    }
    #expect(log.idSent(before: 0) == 4)
    #expect(log.idSent(before: ends[0] - 1) == 4)
    #expect(log.idSent(before: ends[0]) == 5)
    #expect(log.idSent(before: ends[1] + 1) == 6)
    #expect(log.idSent(before: ends[2]) == 7)
    #expect(log.idSent(before: ends[2] + 1) == nil, "of another log")
  }
}
