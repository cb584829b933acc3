import Glibc
import Logging
import Testing

@testable import Millstream

/// An instance on a real loop with real sockets; its Postgres is never there.
@Suite struct InstanceTests {
  private let loop: EventLoop
  private let instance: Instance

  init() throws {
    loop = try EventLoop()
    var configuration = Configuration()
    configuration.database = "host=/nonexistent dbname=none"
    configuration.writeDeadlineMs = 200
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    instance = try Instance(loop: loop, configuration: configuration, logger: logger)
  }

  @Test func beforeStartADescriptorIsClosed() {
    let (server, client) = pair()
    #expect(instance.register(server, for: subscription) == .dead)
    #expect(isAtEnd(client))
  }

  @Test func startTwiceIsOnce() {
    instance.start()
    instance.start()
    let (server, client) = pair()
    guard case .registered = instance.register(server, for: subscription) else {
      Issue.record("not registered")
      return
    }
    run { received(client).contains("event: pgbus:connected\n") }
    #expect(instance.connectionCount == 1)
    close(client)
    run { instance.connectionCount == 0 }
  }

  @Test func shutdownSaysGoodbyeAndCompletesEveryCaller() {
    instance.start()
    let clients = (0..<300).map { _ in
      let (server, client) = pair()
      _ = instance.register(server, for: subscription)
      return client
    }
    var texts = Array(repeating: "", count: clients.count)
    let read = {
      for (index, client) in clients.enumerated() { texts[index] += received(client) }
    }
    run {
      read()
      return texts.allSatisfy { $0.contains("pgbus:connected") }
    }
    var completions = 0
    instance.shutdown { completions += 1 }
    instance.shutdown { completions += 1 }
    run { completions == 2 }
    read()
    #expect(
      texts.allSatisfy {
        $0.hasSuffix("event: pgbus:shutdown\ndata: {\"reason\":\"worker_restart\"}\n\n")
      })
    #expect(clients.allSatisfy(isAtEnd))
    let (server, late) = pair()
    #expect(instance.register(server, for: subscription) == .dead)
    #expect(isAtEnd(late))
    instance.shutdown { completions += 1 }
    #expect(completions == 3)
    clients.forEach { close($0) }
  }

  @Test func drainTellsOneAfterTheOtherWhileEverythingGoesOn() {
    instance.start()
    let clients = (0..<100).map { _ in registered() }
    var texts = Array(repeating: "", count: clients.count)
    let read = {
      for (index, client) in clients.enumerated() { texts[index] += received(client) }
    }
    run {
      read()
      return texts.allSatisfy { $0.contains("pgbus:connected") }
    }
    var isDone = false
    let beginMs = Clock.system.monotonicMs
    instance.drain(overMs: 400) { isDone = $0 }
    run {
      read()
      let toldCount = texts.count { $0.contains("pgbus:shutdown") }
      let elapsedMs = Clock.system.monotonicMs - beginMs
      #expect(toldCount <= Int(elapsedMs) * clients.count / 400 + 1)
      return isDone
    }
    #expect(Clock.system.monotonicMs - beginMs >= 390)
    #expect(instance.isRunning)
    run {
      read()
      return instance.connectionCount == 0
    }
    #expect(
      texts.allSatisfy {
        $0.hasSuffix("event: pgbus:shutdown\ndata: {\"reason\":\"worker_restart\"}\n\n")
      })
    clients.forEach { close($0) }
  }

  @Test func whoComesDuringADrainDoesNotHoldItUp() {
    instance.start()
    var isDone = false
    instance.drain(overMs: 200) { isDone = $0 }
    let clients = (0..<5).map { _ in registered() }
    run { isDone }
    #expect(instance.connectionCount == 5)
    var isDrained = false
    instance.drain(overMs: 200) { isDrained = $0 }
    let late = (0..<5).map { _ in registered() }
    run { isDrained }
    instance.shutdown { isDone = false }
    run { !isDone }
    (clients + late).forEach { close($0) }
  }

  @Test func shutdownEndsADrain() {
    instance.start()
    let client = registered()
    let other = registered()
    run { instance.parts.writer.statistics.sends >= 2 }
    var said: [String] = []
    instance.drain(overMs: 600_000) { said.append("drained \($0)") }
    instance.drain(overMs: 0) { said.append("the other \($0)") }
    instance.shutdown { said.append("ended") }
    #expect(said == [])
    run { said.last == "ended" }
    #expect(said == ["drained false", "the other false", "ended"])
    close(client)
    close(other)
  }

  @Test func abandonEndsADrain() {
    instance.start()
    let client = registered()
    let other = registered()
    run { instance.parts.writer.statistics.sends >= 2 }
    var said: [Bool] = []
    instance.drain(overMs: 600_000) { said.append($0) }
    instance.abandon()
    #expect(said == [false] && instance.isEnded)
    close(client)
    close(other)
  }

  @Test func oneDrainTellsAllWhoWaitForIt() {
    instance.start()
    let client = registered()
    run { instance.parts.writer.statistics.sends >= 1 }
    var said: [Bool] = []
    instance.drain(overMs: 50) { said.append($0) }
    instance.drain(overMs: 600_000) { isComplete in
      said.append(isComplete)
      // It is over: this is another one.
      instance.drain(overMs: 0) { said.append($0) }
    }
    run { said.count == 3 }
    #expect(said == [true, true, true] && instance.isRunning)
    close(client)
  }

  @Test func drainOfOneThatDoesNotRunIsOver() {
    var said: [Bool] = []
    instance.drain(overMs: 600_000) { said.append($0) }
    instance.shutdown()
    instance.drain(overMs: 600_000) { said.append($0) }
    #expect(said == [false, false])
  }

  private func registered() -> Int32 {
    let (server, client) = pair()
    _ = instance.register(server, for: subscription)
    return client
  }

  @Test func clientThatTakesNothingDoesNotHoldShutdownUp() {
    instance.start()
    let (server, client) = pair()
    var small: Int32 = 1
    setsockopt(server, SOL_SOCKET, SO_SNDBUF, &small, socklen_t(MemoryLayout<Int32>.size))
    var request = subscription
    request.head = Array(repeating: UInt8(ascii: "x"), count: 200_000)
    _ = instance.register(server, for: request)
    run { instance.parts.writer.blocked.first != ConnectionTable.none }
    var isDone = false
    instance.shutdown { isDone = true }
    run { isDone }
    #expect(instance.statistics.closed[Int(CloseReason.writeDeadline.rawValue)] == 1)
    close(client)
  }

  private var subscription: Subscription {
    Subscription(
      store: .native, name: "s", storageName: Array("s".utf8), channels: [], cursor: .none, head: []
    )
  }

  /// Runs the loop until `condition` holds; a bound keeps a broken test from hanging.
  private func run(until condition: () -> Bool) {
    let deadline = Clock.system.monotonicMs + 20_000
    while !condition() {
      guard Clock.system.monotonicMs < deadline else {
        Issue.record("the condition never held")
        return
      }
      loop.runOnce()
    }
  }

  private func pair() -> (server: Int32, client: Int32) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
    socketpair(AF_UNIX, kind, 0, &ends)
    return (ends[0], ends[1])
  }

  private func received(_ descriptor: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
  }

  private func isAtEnd(_ descriptor: Int32) -> Bool {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, 0) == 0
  }
}
