import Glibc
import Logging
import Testing

@testable import Millstream

/// What one scripted socket takes, and what it has taken.
struct ScriptedSocket {
  /// How many bytes each call takes at most (0: would block, -1: broken pipe,
  /// -2: cut short by a signal); then everything.
  var allowances: [Int] = []
  var taken: [UInt8] = []
  var calls = 0
  var isClosed = false
  /// What the kernel holds because the client has not acknowledged it.
  var heldBytes = 0
}

/// The sockets of the test that runs, by descriptor. System calls are C functions and find them
/// nowhere else, so all suites that use them are within `ScriptedSocketTests`, which is serialized.
nonisolated(unsafe) var scriptedSockets: [Int32: ScriptedSocket] = [:]

@Suite(.serialized) struct ScriptedSocketTests {}

let scriptedCalls = SystemCalls(
  sendCall: { descriptor, bytes, count, _ in
    precondition(scriptedSockets[descriptor]?.isClosed == false, "nobody sends to what is closed")
    scriptedSockets[descriptor]!.calls += 1
    let isScripted = scriptedSockets[descriptor]!.allowances.isEmpty == false
    let allowed = isScripted ? scriptedSockets[descriptor]!.allowances.removeFirst() : count
    if allowed <= 0 {
      errno = allowed == 0 ? EAGAIN : allowed == -1 ? EPIPE : EINTR
      return -1
    }
    let sent = min(allowed, count)
    scriptedSockets[descriptor]!.taken.append(
      contentsOf: UnsafeRawBufferPointer(start: bytes, count: sent))
    return sent
  },
  receiveCall: { _, _, _, _ in
    errno = EAGAIN
    return -1
  },
  closeCall: { descriptor in
    precondition(scriptedSockets[descriptor]?.isClosed == false, "a descriptor is closed once")
    scriptedSockets[descriptor]!.isClosed = true
    return 0
  },
  heldBytesCall: { scriptedSockets[$0]!.heldBytes })

/// A clock that stands still until it is moved.
final class StoppedClock {
  var nowMs: Int64 = 1_000_000

  var clock: Clock { Clock(monotonicMs: { self.nowMs }, unixSeconds: { self.nowMs / 1000 }) }
}

/// A store whose answers come when the test says so, and whose session is never there.
final class FakeStore: MessageStore {
  enum Question {
    case look([Stream])
    case read(Stream)
    case page(Stream, after: Int64)
  }

  /// Nil: the store has no stream.
  var identity: Int64? = 1
  var epoch: UInt32?
  var texts: [Int64: String] = [:]
  /// The ids in `texts`, which only grow.
  private var order: [Int64] = []
  private(set) var pageReads: [Int64] = []
  private(set) var questions: [Question] = []

  /// Stores `ids`, each with a text of at least `bytes` bytes.
  func publish(_ ids: ClosedRange<Int64>, bytes: Int = 0) {
    if texts.isEmpty { order = [] }
    order += ids
    for id in ids { texts[id] = "m\(id)" + String(repeating: "x", count: bytes) }
  }

  func frames(_ ids: ClosedRange<Int64>) -> String {
    ids.compactMap { id in
      texts[id].map { "id: \(id)\nevent: turbo-stream\ndata: \($0)\n\n" }
    }.joined()
  }

  override func look(at streams: [Stream]) { questions.append(.look(streams)) }

  override func read(_ stream: Stream) { questions.append(.read(stream)) }

  override func readPage(of stream: Stream, after: Int64) {
    pageReads.append(after)
    openPages += 1
    questions.append(.page(stream, after: after))
  }

  /// Answers what was asked so far, in order; returns whether there was anything.
  func answer() -> Bool {
    let asked = questions
    questions = []
    for question in asked {
      switch question {
      case .look(let streams): for stream in streams { answerLook(stream) }
      case .read(let stream): answerRead(stream)
      case .page(let stream, let after): answerPage(stream, after: after)
      }
    }
    return !asked.isEmpty
  }

  /// Nothing that was asked so far is answered.
  func refuseAll(_ failure: QueryFailure) {
    let asked = questions
    questions = []
    for question in asked {
      switch question {
      case .look(let streams):
        for stream in streams { receiver?.questionFailed(of: stream, failure, page: nil) }
      case .read(let stream): receiver?.questionFailed(of: stream, failure, page: nil)
      case .page(let stream, let after):
        openPages -= 1
        receiver?.questionFailed(of: stream, failure, page: after)
      }
    }
  }

  private func answerLook(_ stream: Stream) {
    let highest = texts.isEmpty ? 0 : order.last ?? 0
    let finding = identity.map {
      Finding(identity: $0, highestID: highest, tip: highest, epoch: epoch)
    }
    receiver?.looked(at: stream, finding)
  }

  private func answerRead(_ stream: Stream) {
    let ids = page(after: stream.log.tip)
    var wasCut = false
    for id in ids where !wasCut {
      withMessage(id: id, texts[id]!) { wasCut = receiver?.take($0, of: stream) == .full }
    }
    let isShort = ids.count < MessageStore.pageRows && !wasCut
    receiver?.readEnded(of: stream, isShort ? .short : .more)
  }

  private func answerPage(_ stream: Stream, after: Int64) {
    openPages -= 1
    let ids = page(after: after)
    let frames = Chunk(start: 0, capacity: 2_000_000)
    for id in ids {
      withMessage(id: id, texts[id]!) {
        _ = frames.append($0, afterID: after, epoch: stream.log.epoch)
      }
    }
    let last = ids.last ?? after
    let isShort = ids.count < MessageStore.pageRows
    let through = isShort ? max(last, stream.log.tip) : last
    receiver?.took(
      Page(after: after, through: through, hasBefore: true, frames: frames), of: stream)
  }

  private func page(after: Int64) -> [Int64] {
    if texts.isEmpty { return [] }
    let count = order.reversed().prefix { $0 > after }.count
    return Array(order.suffix(count).prefix(MessageStore.pageRows))
  }
}

/// A dispatcher with a fake store and scripted sockets. The loop never runs: the test turns it.
final class DispatcherBench {
  let time = StoppedClock()
  let writer: Writer
  let store: FakeStore
  let dispatcher: Dispatcher
  private var nextDescriptor: Int32 = 100

  init(logBytes: Int = 256 * 1024) throws {
    scriptedSockets = [:]
    let loop = try EventLoop()
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let session = { name in
      PostgresSession(
        name: name, loop: loop, settings: ConnectionString.empty, limits: .init(), logger: logger)
    }
    writer = Writer(loop: loop, clock: time.clock, calls: scriptedCalls)
    store = FakeStore(kind: .pgmq)
    var limits = Dispatcher.Limits()
    limits.logBytes = logBytes
    dispatcher = Dispatcher(
      writer: writer, listener: Listener(session: session("listen")), stores: [store],
      limits: limits, logger: logger)
  }

  /// A new client of the stream `name`.
  func connect(
    _ cursor: CursorRequest = .none, name: String = "s", head: String = "", allowances: [Int] = []
  ) -> ConnectionRef {
    nextDescriptor += 1
    scriptedSockets[nextDescriptor] = ScriptedSocket(allowances: allowances)
    let connection = writer.adopt(nextDescriptor)
    writer.ensureBacklog(of: connection).opening = Backlog.Opening(
      head: Array(head.utf8), name: name, cursor: cursor, retryMs: 2000)
    dispatcher.subscribe(connection, to: stream(name))
    return connection
  }

  /// A broadcast that was never stored has come.
  func sendEphemeral(_ text: String) {
    dispatcher.deliver(StreamMessage(data: Array(text.utf8)), to: stream(), epoch: nil)
  }

  func stream(_ name: String = "s") -> Stream {
    dispatcher.stream(.pgmq, Array(name.utf8), channels: [])
  }

  func slices() {
    while dispatcher.runSlice() {}
  }

  /// Runs slices and answers questions until nothing is left to do.
  func settle() {
    for _ in 0..<10_000 {
      slices()
      if !store.answer() { return }
    }
    Issue.record("it never comes to rest")
  }

  /// Everything that a client was sent.
  func received(_ connection: ConnectionRef) -> String {
    received(connection.pointee.descriptor)
  }

  func received(_ descriptor: Int32) -> String {
    String(decoding: scriptedSockets[descriptor]!.taken, as: UTF8.self)
  }

  /// What a client was sent behind its opening.
  func frames(_ connection: ConnectionRef) -> String {
    let text = received(connection)
    let opening = "data: {\"connectionId\":\"\(connection.pointee.id)\"}\n\n"
    guard let end = text.firstEnd(of: opening) else { return "no opening in: \(text)" }
    return String(text[end...])
  }
}

extension String {
  /// The index behind the first occurrence.
  func firstEnd(of part: String) -> String.Index? {
    let bytes = Array(utf8)
    let wanted = Array(part.utf8)
    guard bytes.count >= wanted.count else { return nil }
    for start in 0...(bytes.count - wanted.count)
    where bytes[start..<(start + wanted.count)].elementsEqual(wanted) {
      return utf8.index(utf8.startIndex, offsetBy: start + wanted.count)
    }
    return nil
  }
}
