import Testing

@testable import Millstream

@Suite struct StreamLogTests {
  @Test func positionsAreWhereTheFrameAfterAnIDBegins() throws {
    var log = StreamLog(tip: 10, epoch: nil)
    for id in 11...30 { append(Int64(id), to: &log) }
    #expect(log.position(afterID: 9) == nil)
    #expect(log.position(afterID: 10) == 0)
    #expect(log.position(afterID: 30) == log.end)
    #expect(log.position(afterID: 99) == log.end)
    let position = try #require(log.position(afterID: 20))
    let chunk = log.chunk(at: position)
    let index = chunk.index(at: Int(position - chunk.start))
    #expect(chunk.entries[index].id == 21)
    #expect(log.idBefore(position) == 20)
    #expect(log.idBefore(0) == 10)
  }

  @Test func idsMayHaveHoles() throws {
    var log = StreamLog(tip: 0, epoch: nil)
    for id in [2, 5, 9] { append(Int64(id), to: &log) }
    let after3 = try #require(log.position(afterID: 3))
    #expect(log.position(afterID: 2) == after3)
    #expect(log.position(afterID: 4) == after3)
    #expect(log.tip == 9)
  }

  @Test func chunksGrowAndAreBounded() {
    var log = StreamLog(tip: 0, epoch: nil)
    for id in 1...400 { append(Int64(id), to: &log, bytes: 1000) }
    let capacities = log.chunks.map(\.capacity)
    for (capacity, next) in zip(capacities, capacities.dropFirst()) {
      #expect(next == min(capacity * 2, StreamLog.largestChunk))
    }
    #expect(capacities.allSatisfy { $0 <= StreamLog.largestChunk })
    #expect(log.chunks.last!.end == log.end)
    for (chunk, next) in zip(log.chunks, log.chunks.dropFirst()) {
      #expect(chunk.end == next.start)
    }
  }

  @Test func frameThatIsLargerThanAnyChunkGetsItsOwn() {
    var log = StreamLog(tip: 0, epoch: nil)
    append(1, to: &log, bytes: 10)
    append(2, to: &log, bytes: 200_000)
    append(3, to: &log, bytes: 10)
    #expect(log.chunks.count == 3)
    #expect(log.tip == 3)
  }

  @Test func trimmingDropsTheFrontAndRaisesTheFloor() throws {
    var log = StreamLog(tip: 0, epoch: nil)
    for id in 1...1000 { append(Int64(id), to: &log, bytes: 500) }
    let start = try #require(log.startIfTrimmed(toBytes: 100_000))
    log.trim(toBytes: 100_000)
    #expect(log.start == start)
    #expect(log.byteCount <= 100_000)
    #expect(log.floor > 0)
    #expect(log.position(afterID: log.floor) == log.start)
    #expect(log.position(afterID: log.floor - 1) == nil)
    #expect(log.startIfTrimmed(toBytes: 100_000) == nil)
  }

  @Test func lastChunkIsNeverTrimmed() {
    var log = StreamLog(tip: 0, epoch: nil)
    append(1, to: &log, bytes: 5000)
    log.trim(toBytes: 0)
    #expect(log.position(afterID: 0) == 0)
  }

  @Test func ephemeralFramesMoveNoID() {
    var log = StreamLog(tip: 4, epoch: nil)
    withMessage(id: nil, "x") { log.append($0) }
    #expect(log.tip == 4)
    #expect(log.chunks[0].entries[0].kind == .ephemeral)
    #expect(log.position(afterID: 4) == log.end)
  }

  /// Whoever stands between the gap and what follows it has not had what follows.
  @Test func gapStandsForWhatIsMissing() {
    var log = StreamLog(tip: 4, epoch: nil)
    append(5, to: &log)
    let before = log.end
    log.appendGap(oldest: 9)
    let behind = log.end
    append(9, to: &log)
    #expect(log.position(afterID: 5) == before)
    #expect(log.position(afterID: 8) == behind)
    #expect(log.position(afterID: 9) == log.end)
    #expect(log.idBefore(behind) == 8)
  }

  private func append(_ id: Int64, to log: inout StreamLog, bytes: Int = 20) {
    withMessage(id: id, String(repeating: "x", count: bytes)) { log.append($0) }
  }
}
