import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// Where one connection stands, whatever part of a frame its socket takes.
  @Suite struct WriterPlaceTests {
    private let bench: DispatcherBench
    private let comment = ControlFrames.heartbeat(unixSeconds: 1_700_000_015)
    private static let frameBytes = "id: 1\nevent: turbo-stream\ndata: m1\n\n".utf8.count

    init() throws {
      bench = try DispatcherBench()
    }

    /// The goodbye comes after the begun frame and before the next, wherever the socket was full.
    @Test(arguments: 1..<(2 * frameBytes)) func ownBytesStandBetweenFrames(taken: Int) {
      let connection = live(allowances: [taken])
      append(1...3)
      bench.slices()
      bench.writer.sendOwn(ControlFrames.goodbye, to: connection)
      allow(connection, [3, 0])
      bench.writer.pump(connection)
      allow(connection, [])
      bench.writer.pump(connection)
      let begun = Int64((taken + Self.frameBytes - 1) / Self.frameBytes)
      let goodbye = text(ControlFrames.goodbye)
      #expect(bench.received(connection) == frames(1...begun) + goodbye + frames((begun + 1)...3))
      #expect(!connection.pointee.isBlocked && connection.pointee.backlog == nil)
    }

    @Test(arguments: 0..<frameBytes) func heartbeatIsNeverWithinAFrame(taken: Int) {
      let connection = live(allowances: [taken])
      append(1...1)
      bench.slices()
      beat(connection)
      bench.writer.pump(connection)
      beat(connection)
      #expect(bench.received(connection) == frames(1...1) + text(comment))
    }

    @Test(arguments: 0..<26) func frameIsNeverWithinAHeartbeat(taken: Int) {
      let connection = live(allowances: [taken])
      beat(connection)
      append(1...1)
      bench.slices()
      bench.writer.pump(connection)
      // One of which nothing was taken is left out: the next one comes soon.
      #expect(bench.received(connection) == (taken == 0 ? "" : text(comment)) + frames(1...1))
    }

    @Test(arguments: [false, true]) func choiceOfFramesIsTheSameForPartialWrites(isByteByByte: Bool)
    {
      let connection = live(allowances: isByteByByte ? Array(repeating: 1, count: 500) : [])
      let other = live(allowances: [])
      bench.writer.audience = { label, id in label == "staff" && id == connection.pointee.id }
      let own = connection.pointee.id.description
      append(1...1)
      append(2, visibleTo: "staff")
      append(3, exclude: own)
      append(4, visibleTo: "nobody")
      append(5, exclude: other.pointee.id.description)
      append(6, visibleTo: "staff", exclude: own)
      append(7, exclude: "not an id")
      bench.slices()
      while connection.pointee.isBlocked { bench.writer.pump(connection) }
      let own257 = [1, 2, 5, 7].map { frames($0...$0) }.joined()
      #expect(bench.received(connection) == own257)
      #expect(bench.received(other) == [1, 3, 7].map { frames($0...$0) }.joined())
      #expect(connection.pointee.position == bench.stream().log.end)
    }

    @Test func boundedOwnBytesEndAConnectionThatTakesNothing() {
      let connection = live(allowances: Array(repeating: 0, count: 2000))
      let bytes = [UInt8](repeating: 0x3a, count: 4096)
      for _ in 0..<65 { bench.writer.sendOwn(bytes, to: connection) }
      #expect(connection.pointee.phase == .closing)
      #expect(connection.pointee.closeReason == .overtaken)
    }

    @Test func signalDoesNotCutASend() {
      let connection = live(allowances: [-2, -2])
      append(1...1)
      bench.slices()
      #expect(bench.received(connection) == frames(1...1))
    }

    @Test func closingTwiceCountsOnceAndReapsOnce() {
      let connection = live(allowances: [])
      bench.writer.close(connection, .idle)
      bench.writer.close(connection, .clientGone)
      bench.slices()
      #expect(bench.writer.statistics.closed.reduce(0, +) == 1)
      #expect(bench.writer.statistics.closed[Int(CloseReason.idle.rawValue)] == 1)
      #expect(bench.writer.table.count == 0 && !bench.writer.hasClosed)
    }

    private func live(allowances: [Int]) -> ConnectionRef {
      let descriptor = Int32(500 + scriptedSockets.count)
      scriptedSockets[descriptor] = ScriptedSocket(allowances: allowances)
      let connection = bench.writer.adopt(descriptor)
      bench.stream().join(connection)
      bench.stream().goLive(connection, at: bench.stream().log.end)
      return connection
    }

    private func allow(_ connection: ConnectionRef, _ allowances: [Int]) {
      scriptedSockets[connection.pointee.descriptor]!.allowances = allowances
    }

    private func beat(_ connection: ConnectionRef) {
      comment.withUnsafeBytes { bench.writer.sendHeartbeat($0, to: connection) }
    }

    private func append(_ ids: ClosedRange<Int64>) {
      for id in ids { append(id) }
    }

    private func append(_ id: Int64, visibleTo: String? = nil, exclude: String? = nil) {
      withMessage(id: id, "m\(id)", visibleTo: visibleTo, exclude: exclude) {
        bench.dispatcher.append($0, to: bench.stream())
      }
    }

    private func frames(_ ids: ClosedRange<Int64>) -> String {
      ids.map { "id: \($0)\nevent: turbo-stream\ndata: m\($0)\n\n" }.joined()
    }
  }
}
