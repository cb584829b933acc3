import Testing

@testable import Millstream

@Suite struct ExpiryQueueTests {
  @Test func earliestComesFirst() {
    var generator = SeededGenerator(seed: 7)
    var queue = ExpiryQueue()
    let times = (0..<1_000).map { _ in Int64.random(in: 0..<500, using: &generator) }
    for (index, time) in times.enumerated() {
      queue.add(ConnectionID(value: UInt64(index)), at: time) { _ in true }
    }
    var found: [Int64] = []
    while let id = queue.popDue(299) { found.append(times[Int(id.value)]) }
    #expect(found == times.filter { $0 < 300 }.sorted())
    while let id = queue.popDue(.max) { found.append(times[Int(id.value)]) }
    #expect(found == times.sorted())
    #expect(queue.count == 0)
  }

  @Test func whoComesAndGoesDoesNotFillIt() {
    var queue = ExpiryQueue()
    for number in 0..<100_000 {
      let id = ConnectionID(value: UInt64(number))
      queue.add(id, at: .max - Int64(number)) { $0.value + 100 > UInt64(number) }
      #expect(queue.count <= 201)
    }
    var left: [UInt64] = []
    while let id = queue.popDue(.max) { left.append(id.value) }
    #expect(left.prefix(100).elementsEqual((99_900...99_999).reversed()), "the living are kept")
  }
}

extension ScriptedSocketTests {
  /// What lets a client in expires.
  @Suite struct ExpiryTests {
    private let bench: DispatcherBench
    private let heartbeat: Heartbeat
    private let expired = text(ControlFrames.expired)

    init() throws {
      bench = try DispatcherBench()
      var configuration = Configuration()
      configuration.heartbeatMs = 3_600_000_000
      configuration.idleTimeoutMs = 0
      heartbeat = Heartbeat(
        loop: try EventLoop(), writer: bench.writer, configuration: configuration)
    }

    @Test func itIsToldAndClosed() {
      let client = connect(endsInSeconds: 10)
      let other = bench.connect()
      bench.settle()
      publish(1...2)
      run(ms: 9_900)
      #expect(client.pointee.phase == .live)
      let descriptor = client.pointee.descriptor
      run(ms: 200)
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .expired)
      #expect(bench.frames(client) == bench.store.frames(1...2) + expired)
      publish(3...3)
      #expect(scriptedSockets[descriptor]!.isClosed)
      #expect(bench.received(descriptor).hasSuffix(expired))
      #expect(bench.frames(other) == bench.store.frames(1...3))
      #expect(bench.writer.statistics.closed(.expired) == 1)
    }

    @Test func frameThatWasBegunIsFinishedAndNothingFollowsIt() {
      bench.writer.patience = Patience(deadlineMs: 60_000, bytesPerSecond: 0)
      let client = connect(endsInSeconds: 10)
      bench.settle()
      scriptedSockets[client.pointee.descriptor]!.allowances = [10, 0]
      publish(1...1)
      publish(2...2)
      run(ms: 10_000)
      #expect(client.pointee.phase == .live && client.pointee.isBlocked)
      publish(3...3)
      scriptedSockets[client.pointee.descriptor]!.allowances = []
      bench.writer.pump(client)
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .expired)
      #expect(bench.frames(client) == bench.store.frames(1...1) + expired)
    }

    @Test func whoeverTakesNothingHasNoMoreThanTheDeadline() {
      bench.writer.patience = Patience(deadlineMs: 5_000, bytesPerSecond: 0)
      let client = connect(endsInSeconds: 10)
      bench.settle()
      run(ms: 9_500)
      scriptedSockets[client.pointee.descriptor]!.allowances = [10, 0]
      publish(1...1, bytes: 1_000)
      run(ms: 500)
      for _ in 0..<70 where client.pointee.phase != .closing {
        scriptedSockets[client.pointee.descriptor]!.allowances = [1, 0]
        bench.writer.pump(client)
        run(ms: 100)
      }
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .expired)
      #expect(!bench.received(client).contains("millstream:expired"))
    }

    @Test func whoeverIsBehindIsToldBehindThePageThatItReads() {
      bench.store.publish(1...2_000, bytes: 1_000)
      let client = connect(endsInSeconds: 10, .after(id: 0, epoch: nil))
      let descriptor = client.pointee.descriptor
      bench.slices()
      _ = bench.store.answer()
      bench.slices()
      run(ms: 10_100)
      bench.settle()
      #expect(bench.received(descriptor).hasSuffix(expired))
      #expect(scriptedSockets[descriptor]!.isClosed)
      #expect(bench.writer.statistics.closed(.expired) == 1)
    }

    @Test func whoeverWaitsForItsOpeningIsTold() {
      let client = connect(endsInSeconds: 10)
      let descriptor = client.pointee.descriptor
      run(ms: 10_100)
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .expired)
      #expect(bench.received(descriptor) == expired)
    }

    @Test func manyEndInSlices() {
      let clients = (0..<1_200).map { _ in connect(endsInSeconds: 10) }
      bench.settle()
      bench.time.nowMs += 10_000
      heartbeat.tick()
      #expect(clients.count { $0.pointee.phase == .closing } == 512)
      heartbeat.tick()
      heartbeat.tick()
      #expect(clients.allSatisfy { $0.pointee.closeReason == .expired })
    }

    @Test func earlierEndCounts() {
      let context = ConnectionContext(member: "a", labels: ["b"], expiresAt: 7)
      #expect(context.ending(by: nil).expiresAt == 7 && context.ending(by: 9).expiresAt == 7)
      let earlier = context.ending(by: 5)
      #expect(earlier.expiresAt == 5 && earlier.member == "a" && earlier.labels == ["b"])
      #expect(ConnectionContext().ending(by: 5).expiresAt == 5)
    }

    private func connect(
      endsInSeconds seconds: Int64, _ cursor: CursorRequest = .none
    ) -> ConnectionRef {
      let client = bench.connect(cursor)
      let end = bench.time.nowMs / 1000 + seconds
      bench.writer.setContext(ConnectionContext(expiresAt: end), of: client)
      return client
    }

    private func publish(_ ids: ClosedRange<Int64>, bytes: Int = 0) {
      bench.store.publish(ids, bytes: bytes)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
    }

    private func run(ms: Int64) {
      for _ in 0..<(ms / Heartbeat.tickMs) {
        bench.time.nowMs += Heartbeat.tickMs
        heartbeat.tick()
      }
    }
  }
}
