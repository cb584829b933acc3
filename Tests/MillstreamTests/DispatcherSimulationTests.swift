import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// Everything at once, at random: messages, clients that come, stall and go, sessions that break.
  /// Whatever the order, each client has each frame above its cursor once, in order.
  @Suite struct DispatcherSimulationTests {
    @Test(arguments: [UInt64](1...9)) func everyClientHasEveryFrameOnce(seed: UInt64) throws {
      let simulation = try Simulation(seed: seed)
      for _ in 0..<400 { simulation.step() }
      simulation.finish()
      simulation.check()
    }
  }

  private final class Simulation {
    private struct Client {
      var connection: ConnectionRef
      var cursor: Int64
    }

    private let bench: DispatcherBench
    private var random: SeededGenerator
    private var clients: [Client] = []
    private var highest: Int64 = 0
    private var ephemerals = 0

    init(seed: UInt64) throws {
      random = SeededGenerator(seed: seed)
      bench = try DispatcherBench(logBytes: [64, 128, 256][Int(seed % 3)] * 1024)
      _ = bench.stream()
    }

    func step() {
      switch number(0..<20) {
      case 0...4: publish(number(1..<6), wakes: number(0..<4) > 0)
      case 5: publish(number(0..<4) == 0 ? 700 : 40, wakes: true)
      case 6...8: connect()
      case 9...10: stall()
      case 11...13: resume()
      case 14: leave()
      case 15: sendEphemeral()
      case 16 where number(0..<4) == 0: breakSession()
      case 17...18: _ = bench.store.answer()
      default: _ = bench.dispatcher.runSlice()
      }
    }

    func finish() {
      for client in clients {
        scriptedSockets[client.connection.pointee.descriptor]!.allowances = []
        bench.writer.pump(client.connection)
      }
      bench.settle()
      bench.dispatcher.readsReady()
      bench.settle()
    }

    func check() {
      for client in clients {
        let frames = bench.frames(client.connection).split(separator: "\n\n").map(String.init)
        let stored = frames.filter { $0.hasPrefix("id: ") }
        let expected = bench.store.frames((client.cursor + 1)...(highest + 1))
        #expect(stored.map { $0 + "\n\n" }.joined() == expected, "cursor \(client.cursor)")
        let others = frames.filter { !$0.hasPrefix("id: ") }
        #expect(others.allSatisfy { $0.hasPrefix("event: turbo-stream\ndata: e") })
        #expect(Set(others).count == others.count)
        #expect(client.connection.pointee.phase == .live)
        #expect(client.connection.pointee.backlog == nil)
      }
    }

    private func publish(_ count: Int, wakes: Bool) {
      if number(0..<5) == 0 { highest += 3 }
      bench.store.publish((highest + 1)...(highest + Int64(count)), bytes: number(0..<400))
      highest += Int64(count)
      if wakes { bench.dispatcher.wake(bench.stream()) }
    }

    private func connect() {
      guard clients.count < 10 else { return }
      let cursor = Int64(number(0..<Int(highest) + 1))
      let connection = bench.connect(.after(id: cursor, epoch: nil), allowances: allowances())
      clients.append(Client(connection: connection, cursor: cursor))
    }

    private func allowances() -> [Int] {
      (0..<number(0..<6)).map { _ in number(0..<3) == 0 ? 0 : number(1..<3000) }
    }

    private func stall() {
      guard let client = clients.randomElement(using: &random) else { return }
      scriptedSockets[client.connection.pointee.descriptor]!.allowances = allowances() + [0, 0]
    }

    private func resume() {
      guard let client = clients.randomElement(using: &random) else { return }
      if client.connection.pointee.isBlocked { bench.writer.pump(client.connection) }
    }

    private func leave() {
      guard number(0..<3) == 0, !clients.isEmpty else { return }
      let client = clients.remove(at: number(0..<clients.count))
      bench.writer.close(client.connection, .requested)
    }

    private func sendEphemeral() {
      ephemerals += 1
      bench.sendEphemeral("e\(ephemerals)")
    }

    private func breakSession() {
      bench.store.refuseAll(.sessionLost)
      bench.dispatcher.sessionLost()
      bench.dispatcher.readsReady()
    }

    private func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
  }
}
