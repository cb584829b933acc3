import Logging
import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// Streams whose messages a host keeps, and what a filter makes of messages on their way.
  @Suite struct HostStoreTests {
    @Test(arguments: [0, 1, 499, 500, 501, 1200]) func everyCursorGetsTheRest(cursor: Int64) throws
    {
      let bench = try HostBench()
      bench.source.last = 1200
      let connection = bench.connect(.after(id: cursor, epoch: nil))
      bench.settle()
      bench.source.last = 1203
      bench.dispatcher.wake(bench.stream)
      bench.settle()
      #expect(bench.frames(connection) == HostBench.frames((cursor + 1)...1203))
    }

    @Test func theFilterIsAskedOnBothWays() throws {
      let bench = try HostBench()
      bench.dispatcher.filter = MessageFilter { message, stream in
        #expect(stream == StreamIdentity(store: .host, name: "s"))
        if message.id! % 3 == 0 { return .drop }
        if message.id! % 3 == 1 { return .keep }
        return .replace(StreamMessage(data: Array("other".utf8)))
      }
      bench.source.last = 600
      let behind = bench.connect(.after(id: 0, epoch: nil))
      let live = bench.connect(.none)
      bench.settle()
      bench.source.last = 603
      bench.dispatcher.wake(bench.stream)
      bench.settle()
      let filtered = { (ids: ClosedRange<Int64>) in
        ids.filter { $0 % 3 != 0 }.map {
          $0 % 3 == 1 ? HostBench.frames($0...$0) : HostBench.frame($0, "other")
        }.joined()
      }
      #expect(bench.frames(behind) == filtered(1...603))
      #expect(bench.frames(live) == filtered(601...603))
    }

    @Test func whatIsGoneIsTold() throws {
      let bench = try HostBench()
      (bench.source.first, bench.source.last) = (10, 20)
      let connection = bench.connect(.after(id: 3, epoch: nil))
      bench.settle()
      let gap = String(decoding: ControlFrames.gap(lastSeen: 3, oldest: 10), as: UTF8.self)
      #expect(bench.frames(connection) == gap + HostBench.frames(10...20))
    }

    @Test func aStreamMadeAnewIsTold() throws {
      let bench = try HostBench()
      bench.source.last = 5
      bench.source.epoch = 0xa
      let connection = bench.connect(.after(id: 5, epoch: 0xa))
      bench.settle()
      (bench.source.last, bench.source.epoch) = (2, 0xb)
      bench.dispatcher.lookWanted(at: bench.stream)
      bench.settle()
      let reset = ControlFrames.gap(lastSeen: 5, oldest: nil, reason: "reset")
      let frames = (1...2).map { HostBench.frame($0, "m\($0)", epoch: "-b") }.joined()
      #expect(bench.frames(connection) == String(decoding: reset, as: UTF8.self) + frames)
    }

    @Test func aQuestionThatGoesWithoutAnAnswerHasFailed() throws {
      let bench = try HostBench()
      bench.source.isSilent = true
      let connection = bench.connect(.after(id: 0, epoch: nil))
      bench.settle()
      #expect(bench.received(connection).isEmpty, "it may be answered the second time")
      bench.time.nowMs += Dispatcher.changedPauseMs
      bench.dispatcher.tick(intervalMs: 50)
      bench.settle()
      #expect(bench.received(connection).contains("stream open"), "nobody waits for it")
      bench.source.isSilent = false
      bench.source.last = 3
      bench.dispatcher.lookWanted(at: bench.stream)
      bench.settle()
      #expect(bench.frames(connection) == HostBench.frames(1...3))
    }

    @Test func onlyWhatWasAskedForIsTaken() throws {
      let bench = try HostBench()
      bench.source.last = 2
      bench.source.asked = { after, question in
        #expect(!question.add(StreamMessage(id: after, data: [])), "had already")
        #expect(!question.add(StreamMessage(data: [])), "no id")
        #expect(question.add(StreamMessage(id: after + 1, data: Array("m\(after + 1)".utf8))))
        #expect(!question.add(StreamMessage(id: after + 1, data: [])), "twice")
        #expect(question.add(StreamMessage(id: after + 2, data: Array("m\(after + 2)".utf8))))
        question.end(hasBefore: true)
        question.end(hasBefore: true)
        question.failed()
        #expect(!question.add(StreamMessage(id: after + 3, data: [])), "it was answered")
      }
      let connection = bench.connect(.after(id: 0, epoch: nil))
      bench.settle()
      #expect(bench.frames(connection) == HostBench.frames(1...2))
    }
  }
}

/// A host that has the messages `m1`, `m2` … of every stream, from `first` to `last`.
private final class CountingSource: MessageSource {
  var first: Int64 = 1
  var last: Int64 = 0
  var epoch: UInt32?
  /// Questions are dropped.
  var isSilent = false
  /// Answers in the place of `messages`.
  var asked: ((Int64, ReadQuestion) -> Void)?

  func position(of stream: String, _ question: PositionQuestion) {
    if !isSilent { question.answer(last: last, epoch: epoch) }
  }

  func messages(of stream: String, after: Int64, limit: Int, _ question: ReadQuestion) {
    if isSilent { return }
    if let asked { return asked(after, question) }
    var id = max(after + 1, first)
    var count = 0
    while id <= last && count < limit {
      #expect(question.add(StreamMessage(id: id, data: Array("m\(id)".utf8))))
      id += 1
      count += 1
    }
    question.end(hasBefore: first <= after)
  }
}

/// A dispatcher with a host's store and scripted sockets.
private final class HostBench {
  let time = StoppedClock()
  let source = CountingSource()
  let dispatcher: Dispatcher
  private let writer: Writer
  private var connections: [ConnectionRef] = []

  init() throws {
    scriptedSockets = [:]
    let loop = try EventLoop()
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let session = PostgresSession(
      name: "listen", loop: loop, settings: ConnectionString.empty, limits: .init(), logger: logger)
    writer = Writer(loop: loop, clock: time.clock, calls: scriptedCalls)
    var limits = Dispatcher.Limits()
    limits.logBytes = 1024
    dispatcher = Dispatcher(
      writer: writer, listener: Listener(session: session), stores: [HostStore(source: source)],
      limits: limits, logger: logger)
  }

  var stream: Millstream.Stream { dispatcher.stream(.host, Array("s".utf8), channels: []) }

  func connect(_ cursor: CursorRequest) -> ConnectionRef {
    let descriptor = Int32(100 + connections.count)
    scriptedSockets[descriptor] = ScriptedSocket(allowances: [])
    let connection = writer.adopt(descriptor)
    connections.append(connection)
    writer.ensureBacklog(of: connection).opening = Backlog.Opening(
      head: [], name: "s", cursor: cursor, retryMs: 2000)
    dispatcher.subscribe(connection, to: stream)
    return connection
  }

  /// The source answers at once: nothing is left to do when no slice has more. Whoever has had its share of
  /// a turn waits for its socket, which is always writable.
  func settle() {
    repeat {
      while dispatcher.runSlice() {}
      for connection in connections { writer.pump(connection) }
    } while connections.contains { $0.pointee.isBlocked }
  }

  func received(_ connection: ConnectionRef) -> String {
    String(decoding: scriptedSockets[connection.pointee.descriptor]!.taken, as: UTF8.self)
  }

  /// What a client was sent behind its opening.
  func frames(_ connection: ConnectionRef) -> String {
    let text = received(connection)
    let opening = "data: {\"connectionId\":\"\(connection.pointee.id)\"}\n\n"
    guard let end = text.firstEnd(of: opening) else { return "no opening in: \(text)" }
    return String(text[end...])
  }

  static func frames(_ ids: ClosedRange<Int64>) -> String {
    ids.map { frame($0, "m\($0)") }.joined()
  }

  static func frame(_ id: Int64, _ text: String, epoch: String = "") -> String {
    "id: \(id)\(epoch)\nevent: turbo-stream\ndata: \(text)\n\n"
  }
}
