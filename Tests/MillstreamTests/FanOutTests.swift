import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// Passes over the live connections of a stream.
  @Suite struct FanOutTests {
    private let bench: DispatcherBench
    private var fanOut: FanOut { bench.dispatcher.fanOut }

    init() throws {
      bench = try DispatcherBench()
    }

    @Test func smallStreamIsNotDelayedByALargeOne() {
      let many = joinAll(2000, "large")
      let few = joinAll(3, "small")
      append(1...1, "large")
      append(1...1, "small")
      fanOut.runSlice()
      #expect(few.allSatisfy { hasAll($0, "small") })
      #expect(many.contains { !hasAll($0, "large") })
      finish()
      #expect(many.allSatisfy { hasAll($0, "large") })
    }

    @Test func sliceIsBounded() {
      let many = joinAll(2000, "large")
      append(1...1, "large")
      fanOut.runSlice()
      #expect(many.count { hasAll($0, "large") } == FanOut.sliceSends)
    }

    @Test func everyStreamHasItsPassEndedOnce() {
      var ended: [String: Int] = [:]
      fanOut.passEnded = { ended[String(decoding: $0.storageName, as: UTF8.self), default: 0] += 1 }
      for name in ["a", "b", "c"] {
        _ = joinAll(300, name)
        append(1...3, name)
      }
      finish()
      #expect(ended == ["a": 1, "b": 1, "c": 1])
    }

    @Test func nobodyIsServedTwiceForOneFrame() {
      let many = joinAll(1000, "s")
      append(1...1, "s")
      finish()
      #expect(many.allSatisfy { socket($0).calls == 1 })
    }

    @Test func burstCostsOneCallAConnection() {
      let many = joinAll(10, "s")
      append(1...20, "s")
      finish()
      let calls = bench.stream("s").log.chunks.count
      #expect(calls == 1)
      #expect(many.allSatisfy { socket($0).calls == calls && hasAll($0, "s") })
    }

    @Test func framesDuringAPassMakeAnotherOne() {
      let many = joinAll(600, "s")
      append(1...1, "s")
      fanOut.runSlice()
      append(2...2, "s")
      #expect(bench.stream("s").pass.mustRepeat)
      finish()
      #expect(many.allSatisfy { hasAll($0, "s") && bench.received($0) == frames(1...2) })
    }

    @Test func framesBeforeAPassHasBegunMakeNoOther() {
      _ = joinAll(2, "s")
      append(1...1, "s")
      append(2...2, "s")
      #expect(!bench.stream("s").pass.mustRepeat)
    }

    @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6, 7, 8])
    func comingAndGoingDuringPassesPassesNobodyOver(seed: UInt64) {
      var random = SeededGenerator(seed: seed)
      var members = joinAll(700, "s")
      for id in Int64(1)...12 {
        append(id...id, "s")
        fanOut.runSlice()
        for _ in 0..<30 {
          let gone = members.remove(at: Int.random(in: 0..<members.count, using: &random))
          bench.writer.close(gone, .requested)
        }
        bench.writer.reap { bench.stream("s").leave($0) }
        members += joinAll(10, "s")
      }
      finish()
      #expect(members.allSatisfy { hasAll($0, "s") })
    }

    /// The time is taken once for each pass, from the first frame that it is for.
    @Test func eachPassIsMeasuredOnce() {
      _ = joinAll(600, "s")
      append(1...1, "s")
      bench.time.nowMs += 3
      append(2...2, "s")
      fanOut.runSlice()
      bench.time.nowMs += 20
      append(3...3, "s")
      bench.time.nowMs += 7
      append(4...4, "s")
      finish()
      var expected = Histogram()
      expected.observe(us: 30_000)
      expected.observe(us: 7_000)
      #expect(bench.writer.statistics.broadcastToSocket == expected)
    }

    @Test func passThatReachesNobodyIsNotMeasured() {
      append(1...1, "s")
      finish()
      #expect(bench.writer.statistics.broadcastToSocket.count == 0)
    }

    /// A client is dropped at its deadline, and before it is reaped there is more to send: its full
    /// socket must not put it among the blocked, whose slots must not go.
    @Test func whoWasClosedIsLeftAlone() {
      let members = joinAll(2, "s", allowances: [0])
      append(1...1, "s")
      finish()
      bench.writer.close(members[0], .writeDeadline)
      socket(members[0]) { $0.allowances = [0] }
      append(2...2, "s")
      finish()
      #expect(!members[0].pointee.isBlocked)
      #expect(socket(members[0]).calls == 1)
      bench.writer.reap { bench.stream("s").leave($0) }
      #expect(bench.writer.blocked.due(nowMs: 9_000_000, intervalMs: 1) == [members[1]])
    }

    private func joinAll(
      _ count: Int, _ name: String, allowances: [Int] = []
    ) -> [ConnectionRef] {
      (0..<count).map { _ in
        let descriptor = Int32(100 + scriptedSockets.count)
        scriptedSockets[descriptor] = ScriptedSocket(allowances: allowances)
        let connection = bench.writer.adopt(descriptor)
        bench.stream(name).join(connection)
        bench.stream(name).goLive(connection, at: bench.stream(name).log.end)
        return connection
      }
    }

    private func append(_ ids: ClosedRange<Int64>, _ name: String) {
      for id in ids {
        withMessage(id: id, "m\(id)") { bench.dispatcher.append($0, to: bench.stream(name)) }
      }
    }

    private func frames(_ ids: ClosedRange<Int64>) -> String {
      ids.map { "id: \($0)\nevent: turbo-stream\ndata: m\($0)\n\n" }.joined()
    }

    private func finish() {
      while fanOut.hasMore { fanOut.runSlice() }
    }

    private func hasAll(_ connection: ConnectionRef, _ name: String) -> Bool {
      connection.pointee.position == bench.stream(name).log.end
    }

    private func socket(_ connection: ConnectionRef) -> ScriptedSocket {
      scriptedSockets[connection.pointee.descriptor]!
    }

    private func socket(_ connection: ConnectionRef, _ change: (inout ScriptedSocket) -> Void) {
      change(&scriptedSockets[connection.pointee.descriptor]!)
    }
  }
}
