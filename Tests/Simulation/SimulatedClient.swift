@testable import Millstream

/// One connection of a client: it parses what it is sent, frame by frame, and judges it.
final class SimulatedClient {
  /// What a client comes back with.
  struct Cursor {
    var id: Int64
    var text: String
    /// Of what the id is; nil: of nothing that there ever was.
    var incarnation: Incarnation?
  }

  unowned let world: World
  let queue: SimulatedQueue
  let id: ConnectionID
  let socket: SimulatedSocket
  let connection: ConnectionRef
  let came: Cursor?
  let bornMs: Int64

  private var parsed = 0
  private var blocks = 0

  /// The step in which its opening was sent, and since which it is live without a break.
  private(set) var openedStep: Int?
  private(set) var openedMs: Int64 = 0
  var liveSince: Int?
  var hasStalled = false
  let wasRagged: Bool
  /// The id above which it gets everything; nil: nobody knew when it was opened.
  var start: Int64? = 0
  /// What was committed after this many had been is due to it, where `start` is nil.
  var dueAfterCommit: Int?
  /// The highest id that it has, and of what; nil: it takes whatever comes first.
  var last: Int64 = 0
  var incarnation: Incarnation?
  /// How far the queue had come when it began to count.
  var incarnationNumber = 0
  /// It was given ids of another incarnation than it has a right to, and has to be told.
  var awaitsReset = false
  /// By serial number.
  var seen: Set<Int> = []
  var seenEphemerals: Set<Int> = []
  var passed: [Int: Int] = [:]
  var gaps: [ClosedRange<Int64>] = []
  /// It was told that the ids have begun anew.
  var isAnew = false
  var anewStep = 0
  /// What it will come back with.
  var cursor: Cursor?

  init(
    world: World, queue: SimulatedQueue, id: ConnectionID, socket: SimulatedSocket,
    connection: ConnectionRef, came: Cursor?
  ) {
    self.world = world
    self.queue = queue
    self.id = id
    self.socket = socket
    wasRagged = socket.isRagged
    self.connection = connection
    self.came = came
    bornMs = world.postgres.nowMs
    cursor = came
    socket.opens = { [unowned self] in opens() }
    socket.closes = { [unowned self] in world.closed(self) }
  }

  var isOpen: Bool { !socket.isClosed }
  var stream: Stream? { isOpen ? connection.pointee.stream?.takeUnretainedValue() : nil }

  /// The first byte goes out: what it is promised counts from here.
  private func opens() {
    openedStep = world.steps
    openedMs = world.postgres.nowMs
    guard let stream else { return }
    incarnation = queue.incarnation(of: stream)
    incarnationNumber = incarnation?.number ?? 0
    if let came {
      (start, last, incarnation) = (came.id, came.id, came.incarnation)
    } else if stream.reader.isKnown {
      start = stream.log.tip
      last = stream.log.tip
      for record in (incarnation?.records ?? []).prefix(Int(last)) { pass(record) }
    } else {
      (start, incarnation) = (nil, nil)
    }
  }

  /// Takes what has come since the last time.
  func read() {
    let bytes = socket.taken
    var at = parsed
    while at + 1 < bytes.count {
      guard bytes[at] == UInt8(ascii: "\n"), bytes[at + 1] == UInt8(ascii: "\n") else {
        at += 1
        continue
      }
      take(String(decoding: bytes[parsed..<at], as: UTF8.self))
      at += 2
      parsed = at
    }
  }

  private func take(_ block: String) {
    blocks += 1
    world.trace(
      "client \(id) gets <\(block.prefix(100).split(separator: "\n").joined(separator: "|"))>")
    switch blocks {
    case 1: expect(block, "retry: 2000")
    case 2:
      let since = came?.id ?? start ?? 0
      expect(block, ": pgbus stream open since_id=\(since) stream=\(queue.name)")
    case 3: expect(block, "event: pgbus:connected\ndata: {\"connectionId\":\"\(id)\"}")
    default: receive(block)
    }
  }

  func expect(_ block: String, _ expected: String) {
    if block != expected { fails("got <\(block)> instead of <\(expected)>") }
  }

  func fails(_ reason: String) {
    world.fails("client \(id) of \(queue.name): \(reason)")
  }
}
