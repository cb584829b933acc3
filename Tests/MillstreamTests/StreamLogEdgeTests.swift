import Testing

@testable import Millstream

/// Positions and chunks against a model: a list of frames.
@Suite struct StreamLogEdgeTests {
  private struct Frame {
    var id: Int64?
    var start: UInt64
    var end: UInt64
  }

  @Test func firstChunkIsAKibibyteAndTheLargestSixtyFour() {
    var log = StreamLog(tip: 0, epoch: nil)
    for id in Int64(1)...3000 { append(id, bytes: 100, to: &log) }
    let kibibytes = log.chunks.map { $0.capacity / 1024 }
    #expect(kibibytes.prefix(8) == [1, 2, 4, 8, 16, 32, 64, 64])
  }

  @Test(arguments: [0, 100, 955, 956])
  func frameThatJustFitsMakesNoChunk(bytes: Int) {
    var log = StreamLog(tip: 0, epoch: nil)
    let overhead = Chunk.frameBytes(
      of: Message(id: 1, data: .init(start: nil, count: 0)), epoch: nil)
    append(1, bytes: bytes, to: &log)
    let room = 1024 - overhead - bytes
    append(2, bytes: room - overhead, to: &log)
    #expect(log.chunks.count == 1 && log.end == 1024)
    append(3, bytes: 0, to: &log)
    #expect(log.chunks.count == 2 && log.chunks[1].start == 1024)
    #expect(log.position(afterID: 2) == 1024)
  }

  @Test func chunkAfterALargeFrameIsOfOrdinarySize() {
    var log = StreamLog(tip: 0, epoch: nil)
    append(1, bytes: 200_000, to: &log)
    append(2, bytes: 10, to: &log)
    #expect(log.chunks[1].capacity == StreamLog.largestChunk)
  }

  @Test func emptyLogHasOnePlace() {
    let log = StreamLog(tip: 7, epoch: 3)
    #expect(log.start == 0 && log.end == 0 && log.byteCount == 0)
    #expect(log.position(afterID: 6) == nil)
    #expect(log.position(afterID: 7) == 0 && log.position(afterID: .max) == 0)
    #expect(log.idBefore(0) == 7 && log.startIfTrimmed(toBytes: 0) == nil)
  }

  @Test(arguments: [UInt64](1...12)) func everyPositionIsThatOfTheModel(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var log = StreamLog(tip: 100, epoch: seed % 2 == 0 ? 5 : nil)
    var frames: [Frame] = []
    for _ in 0..<300 {
      let isEphemeral = Int.random(in: 0..<5, using: &random) == 0
      let id = isEphemeral ? nil : log.tip + Int64.random(in: 1...3, using: &random)
      let start = log.end
      append(id, bytes: Int.random(in: 0...900, using: &random), to: &log)
      frames.append(Frame(id: id, start: start, end: log.end))
      guard Int.random(in: 0..<60, using: &random) == 0 else { continue }
      let expected = log.startIfTrimmed(toBytes: 20_000)
      log.trim(toBytes: 20_000)
      if let expected { #expect(log.start == expected) }
    }
    check(log, frames)
  }

  private func check(_ log: borrowing StreamLog, _ frames: [Frame]) {
    let kept = frames.filter { $0.start >= log.start }
    for id in (log.floor - 2)...(log.tip + 2) {
      let next = kept.first { $0.id.map { $0 > id } ?? false }?.start ?? log.end
      #expect(log.position(afterID: id) == (id < log.floor ? nil : next))
    }
    for frame in kept {
      let before = frames.last { $0.end <= frame.start && $0.id != nil }?.id ?? log.floor
      #expect(log.idBefore(frame.start) == max(before, log.floor))
      let chunk = log.chunk(at: frame.start)
      let index = chunk.index(at: Int(frame.start - chunk.start))
      #expect(chunk.start + UInt64(chunk.frameEnd(index)) == frame.end)
      #expect(log.chunk(at: frame.end - 1) === chunk)
      #expect(chunk.index(at: Int(frame.end - 1 - chunk.start)) == index)
      #expect((chunk.entries[index].kind == .ephemeral) == (frame.id == nil))
    }
    #expect(log.idBefore(log.end) == log.tip)
  }

  @Test(arguments: [0, 1024, 1025, 3072, 100_000])
  func trimKeepsWithinTheBoundOrTheLastChunk(bound: Int) {
    var log = StreamLog(tip: 0, epoch: nil)
    for id in Int64(1)...100 { append(id, bytes: 200, to: &log) }
    let end = log.end
    log.trim(toBytes: bound)
    #expect(log.byteCount <= bound || log.chunks.count == 1)
    #expect(log.end == end && log.tip == 100)
    #expect(log.position(afterID: log.floor) == log.start)
    #expect(log.startIfTrimmed(toBytes: bound) == nil)
  }

  @Test func audiencesAreSharedByNeighbours() {
    let chunk = Chunk(start: 0, capacity: 4096)
    for (id, label) in [(1, "a"), (2, "a"), (3, nil), (4, "b"), (5, "a")] as [(Int64, String?)] {
      withMessage(id: id, "x", visibleTo: label) {
        _ = chunk.append($0, afterID: 0, epoch: nil)
      }
    }
    #expect(chunk.audiences.map(\.visibleTo) == ["a", "b", "a"])
    #expect(chunk.entries.map(\.audience) == [0, 0, -1, 1, 2])
    #expect(!chunk.isForEveryone)
  }

  private func append(_ id: Int64?, bytes: Int, to log: inout StreamLog) {
    withMessage(id: id, String(repeating: "x", count: bytes)) { log.append($0) }
  }
}
