import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// What time does to connections, with a clock that the test moves.
  @Suite struct HeartbeatTests {
    private let bench: DispatcherBench
    private let heartbeat: Heartbeat
    private var writer: Writer { bench.writer }

    init() throws {
      bench = try DispatcherBench()
      bench.writer.patience = Patience(deadlineMs: 5_000, bytesPerSecond: 64)
      var configuration = Configuration()
      configuration.heartbeatMs = 1_000
      configuration.idleTimeoutMs = 60_000
      heartbeat = Heartbeat(
        loop: try EventLoop(), writer: bench.writer, configuration: configuration)
    }

    @Test func whoeverTakesNothingGoesAtTheDeadline() {
      let client = blocked()
      run(ms: 4_950)
      #expect(client.pointee.phase == .live)
      run(ms: 300)
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .writeDeadline)
      #expect(writer.statistics.closed(.writeDeadline) == 1)
      #expect(writer.blocked.first == ConnectionTable.none)
    }

    @Test func aByteASecondIsTooSlow() {
      let client = blocked()
      everySecond(of: 7) { take(1, client) }
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .tooSlow)
      #expect(writer.statistics.closed(.tooSlow) == 1)
      #expect(writer.statistics.closed(.writeDeadline) == 0)
    }

    @Test func aByteASecondWillDoWithoutAMinimumRate() {
      bench.writer.patience.bytesPerSecond = 0
      let client = blocked()
      everySecond(of: 60) { take(1, client) }
      #expect(client.pointee.phase == .live)
    }

    @Test func slowAndSteadyStaysAndGetsEverything() {
      let client = blocked()
      let wanted = "id: 1\nevent: turbo-stream\ndata: m1" + String(repeating: "x", count: 9_000)
      for _ in 0..<120 where client.pointee.isBlocked {
        everySecond(of: 1) { take(80, client) }
      }
      #expect(client.pointee.phase == .live && !client.pointee.isBlocked)
      #expect(bench.frames(client) == wanted + "\n\n")
    }

    /// The socket has room again only when much of it was taken; until then the kernel is asked.
    @Test func whatTheKernelGetsRidOfKeepsAClient() {
      let client = blocked()
      let descriptor = client.pointee.descriptor
      everySecond(of: 60) { scriptedSockets[descriptor]!.heldBytes -= 100 }
      #expect(client.pointee.phase == .live)
      let calls = scriptedSockets[descriptor]!.calls
      run(ms: 5_500)
      #expect(client.pointee.phase == .closing)
      #expect(scriptedSockets[descriptor]!.calls == calls, "a full socket is left alone")
    }

    @Test func nobodyElseIsTouched() {
      let healthy = (0..<20).map { _ in bench.connect() }
      bench.settle()
      _ = blocked()
      run(ms: 6_000)
      bench.slices()
      #expect(healthy.allSatisfy { $0.pointee.phase == .live && !$0.pointee.isBlocked })
      #expect(writer.table.count == 20)
    }

    @Test func whoeverHasTakenAllBeginsAnew() {
      let client = blocked()
      run(ms: 4_000)
      scriptedSockets[client.pointee.descriptor]!.allowances = []
      writer.pump(client)
      #expect(!client.pointee.isBlocked)
      scriptedSockets[client.pointee.descriptor]!.allowances = [0]
      bench.store.publish(2...2)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      #expect(client.pointee.isBlocked)
      run(ms: 4_000)
      #expect(client.pointee.phase == .live)
    }

    @Test func thousandsAreLookedAtInSlices() {
      let clients = (0..<1_500).map { _ in bench.connect() }
      bench.settle()
      for client in clients {
        scriptedSockets[client.pointee.descriptor]!.allowances = [0]
        writer.sendOwn([1, 2, 3], to: client)
      }
      bench.time.nowMs += 5_000
      heartbeat.tick()
      #expect(clients.count { $0.pointee.phase == .closing } == 512)
      heartbeat.tick()
      heartbeat.tick()
      #expect(clients.allSatisfy { $0.pointee.closeReason == .writeDeadline })
    }

    /// A client that is live, and whose socket took nothing of a message of 9,000 bytes.
    private func blocked() -> ConnectionRef {
      let client = bench.connect()
      bench.settle()
      let descriptor = client.pointee.descriptor
      scriptedSockets[descriptor]!.allowances = [0]
      scriptedSockets[descriptor]!.heldBytes = 100_000
      bench.store.publish(1...1, bytes: 9_000)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      #expect(client.pointee.isBlocked)
      return client
    }

    /// Its socket has room for `count` bytes, and no more.
    private func take(_ count: Int, _ client: ConnectionRef) {
      guard client.pointee.phase != .closing else { return }
      scriptedSockets[client.pointee.descriptor]!.allowances = [count, 0]
      writer.pump(client)
    }

    private func everySecond(of seconds: Int, _ body: () -> Void) {
      for _ in 0..<seconds {
        run(ms: 1_000)
        body()
      }
    }

    private func run(ms: Int64) {
      for _ in 0..<(ms / Heartbeat.tickMs) {
        bench.time.nowMs += Heartbeat.tickMs
        heartbeat.tick()
      }
    }
  }
}
