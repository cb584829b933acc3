import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// Connections that somebody wants closed.
  @Suite struct ClosingTests {
    private let bench: DispatcherBench
    private let closing: Closing
    private let closed = text(ControlFrames.closed(reason: nil))

    init() throws {
      bench = try DispatcherBench()
      closing = Closing(writer: bench.writer)
    }

    @Test func itIsToldWhyBehindWhatIsDue() {
      let client = bench.connect()
      bench.settle()
      bench.store.publish(1...2)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      let told = text(ControlFrames.closed(reason: "so \"it\" is"))
      #expect(told == "event: millstream:closed\ndata: {\"reason\":\"so \\\"it\\\" is\"}\n\n")
      closing.add(client.pointee.id, reason: "so \"it\" is")
      #expect(client.pointee.phase == .live, "whoever asks may be in the middle of something")
      closing.runSlice()
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .requested)
      #expect(bench.frames(client) == bench.store.frames(1...2) + told)
      #expect(bench.writer.statistics.closed(.requested) == 1)
      #expect(!closing.hasMore)
    }

    @Test func oneThatIsNotOpenYetHasAResponseAllTheSame() {
      let client = bench.connect(head: "HTTP/1.1 200 OK\r\n\r\n")
      let slow = bench.connect(head: "HTTP/1.1 200 OK\r\n\r\n", allowances: [5, 0])
      closing.add(bench.stream(), reason: nil)
      while closing.hasMore { closing.runSlice() }
      let whole = "HTTP/1.1 200 OK\r\n\r\n" + closed
      #expect(bench.received(client) == whole)
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .requested)
      bench.dispatcher.openingIsOverdue(slow)
      bench.settle()
      #expect(!slow.pointee.wasOpened && slow.pointee.phase == .opening)
      scriptedSockets[slow.pointee.descriptor]!.allowances = []
      bench.writer.pump(slow)
      #expect(bench.received(slow) == whole && slow.pointee.closeReason == .requested)
    }

    @Test func whoIsNotOpenYetHasAResponseAtTheFarewell() {
      let client = bench.connect(head: "HTTP/1.1 200 OK\r\n\r\n")
      Farewell(writer: bench.writer, deadlineMs: 1_000).runSlice()
      #expect(bench.received(client) == "HTTP/1.1 200 OK\r\n\r\n" + text(ControlFrames.goodbye))
      #expect(client.pointee.phase == .closing && client.pointee.closeReason == .shutdown)
    }

    @Test func aLongReasonIsCutBetweenCharacters() {
      let frame = text(ControlFrames.closed(reason: "x" + String(repeating: "é", count: 300)))
      #expect(frame.contains("\"x" + String(repeating: "é", count: 255) + "\"}"))
    }

    @Test func manyEndInSlicesAndNobodyElse() {
      let chat = (0..<300).map { _ in bench.connect(name: "chat") }
      let members = (0..<300).map { number in
        let client = bench.connect(name: "other")
        let context = ConnectionContext(member: number % 3 == 0 ? "a" : "b")
        bench.writer.setContext(context, of: client)
        return client
      }
      bench.settle()
      closing.add(bench.stream("chat"), reason: nil)
      closing.add(member: "a", reason: nil)
      var slices = 0
      while closing.hasMore {
        let before = bench.writer.statistics.closed(.requested)
        closing.runSlice()
        #expect(bench.writer.statistics.closed(.requested) - before <= 128)
        slices += 1
      }
      #expect(slices >= 4 && chat.allSatisfy { $0.pointee.closeReason == .requested })
      #expect(members.count { $0.pointee.phase == .closing } == 100)
      #expect(bench.writer.statistics.closed(.requested) == 400)
    }

    @Test func namesThatLookTheSameAreTwo() {
      let clients = ["caf\u{e9}", "cafe\u{301}"].map { member in
        let client = bench.connect()
        bench.writer.setContext(ConnectionContext(member: member), of: client)
        return client
      }
      bench.settle()
      closing.add(member: "cafe\u{301}", reason: nil)
      while closing.hasMore { closing.runSlice() }
      #expect(clients.map { $0.pointee.phase == .closing } == [false, true])
    }

    @Test func whatIsAskedForDuringAWalkIsForTheNext() {
      let clients = (0..<300).map { _ in bench.connect(name: "chat") }
      let other = bench.connect(name: "other")
      bench.settle()
      closing.add(bench.stream("chat"), reason: nil)
      closing.runSlice()
      closing.add(bench.stream("other"), reason: nil)
      // It stands behind, or before where the walk is.
      while closing.hasMore { closing.runSlice() }
      #expect(other.pointee.phase == .closing)
      #expect(clients.allSatisfy { $0.pointee.phase == .closing })
    }

    @Test func whoeverTakesNothingHasSecondsAndIsToldOnce() throws {
      bench.writer.patience = Patience(deadlineMs: 600_000, bytesPerSecond: 0)
      let heartbeat = Heartbeat(
        loop: try EventLoop(), writer: bench.writer, configuration: Configuration())
      let takes = bench.connect(), takesNot = bench.connect()
      bench.settle()
      for client in [takes, takesNot] {
        scriptedSockets[client.pointee.descriptor]!.allowances = [10, 0]
      }
      bench.store.publish(1...1)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      for _ in 0..<2 {
        closing.add(bench.stream(), reason: nil)
        closing.runSlice()
      }
      #expect(takes.pointee.phase == .live && takes.pointee.isBlocked)
      scriptedSockets[takes.pointee.descriptor]!.allowances = []
      bench.writer.pump(takes)
      #expect(bench.frames(takes) == bench.store.frames(1...1) + closed)
      bench.time.nowMs += Closing.patienceMs + 2_000
      heartbeat.tick()
      #expect(takesNot.pointee.phase == .closing && takesNot.pointee.closeReason == .requested)
      #expect(bench.writer.statistics.closed(.requested) == 2)
    }

    /// A connection that carries these streams, each from its first message on, and takes `allowances`.
    private func carrier(_ names: [String], head: String = "", allowances: [Int]) -> Carrier {
      let descriptor: Int32 = 50
      scriptedSockets[descriptor] = ScriptedSocket(allowances: allowances)
      let opening = Carrier.Opening(head: Array(head.utf8), retryMs: 0, entries: [])
      let carrier = bench.writer.makeCarrier(bench.writer.adopt(descriptor), opening, nil)
      bench.dispatcher.move(carrier.connection, from: nil, to: .opening)
      for name in names {
        let subscription = Subscription(
          store: .pgmq, name: name, storageName: Array(name.utf8), channels: [],
          cursor: .after(id: 0, epoch: nil), head: [])
        bench.writer.addLane(of: carrier, subscription)
      }
      for lane in carrier.lanes {
        let name = String(decoding: lane.name, as: UTF8.self)
        bench.dispatcher.subscribe(lane.connection, to: bench.stream(name))
      }
      return carrier
    }

    @Test func aStreamThatEndsWhileItsPageGoesOutLeavesTheNextItsOwn() throws {
      bench.store.publish(1...2000)
      // The opening goes out, and a part of the first page.
      let carrier = carrier(["a", "b"], allowances: [100_000, 1000, 0])
      bench.settle()
      let holder = try #require(carrier.pageHolder), other = carrier.lanes.first { $0 !== holder }!
      #expect(carrier.connection.pointee.isBlocked && other.connection.pointee.phase == .catchingUp)
      let name = String(decoding: holder.name, as: UTF8.self)
      closing.add(bench.stream(name), reason: nil)
      while closing.hasMore { closing.runSlice() }
      scriptedSockets[carrier.connection.pointee.descriptor]!.allowances = []
      bench.writer.pump(carrier.connection)
      bench.settle()
      #expect(carrier.lanes.count == 1 && other.connection.pointee.phase == .live)
      #expect(carrier.pageHolder == nil && other.position?.id == 2000)
      let told = bench.received(carrier.connection)
      #expect(told.contains(" \(name)\n\(closed)"))
    }

    @Test(arguments: [true, false])
    func oneOfSeveralStreamsThatIsNotOpenYetHasAResponseAllTheSame(isAsAWhole: Bool) {
      let carrier = carrier(["a", "b"], head: "head\r\n\r\n", allowances: [5, 0])
      let client = carrier.connection
      if isAsAWhole {
        closing.add(client.pointee.id, reason: nil)
      } else {
        closing.add(bench.stream("b"), reason: nil)
      }
      while closing.hasMore { closing.runSlice() }
      bench.settle()
      #expect(!carrier.isOpen && client.pointee.phase == .opening)
      scriptedSockets[client.pointee.descriptor]!.allowances = []
      bench.writer.pump(client)
      // What is said without the name of a stream is meant for all of them.
      #expect(bench.received(client) == "head\r\n\r\n" + (isAsAWhole ? closed : ""))
      #expect(client.pointee.closeReason == .requested)
    }
  }
}
