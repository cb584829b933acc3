@testable import Millstream

/// One connection of a client, or one of the streams of a connection that carries several: it parses what it
/// is sent, frame by frame, and judges it.
final class SimulatedClient: SimulatedPeer {
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
  /// The connection that it is a stream of; nil: it has its own.
  private(set) weak var carrier: SimulatedCarrier?

  private var frames = ReceivedFrames()

  /// The step in which its opening was sent, and since which it is live without a break.
  var openedStep: Int?
  var openedMs: Int64 = 0
  var liveSince: Int?
  let wasRagged: Bool
  /// The id above which it gets everything; nil: nobody knew when it was opened.
  var start: Int64? = 0
  /// What was committed after this many had been is due to it, where `start` is nil.
  var dueAfterCommit: Int?
  /// The highest id that it has, and of what; nil: it takes whatever comes first.
  var last: Int64 = 0
  /// The highest id of a message that it has, or came with.
  var lastReceived: Int64 = 0
  var incarnation: Incarnation?
  /// What it was opened in: a cursor may be of a later one, of which the streamer has not heard yet.
  var openedIn: Incarnation?
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
  var isAsked = false
  var isTold = false
  var endReason: CloseReason?
  /// A stream of many that was closed alone, or with them: its place in the table is another's.
  var isEnded = false

  init(
    world: World, queue: SimulatedQueue, id: ConnectionID, socket: SimulatedSocket,
    connection: ConnectionRef, came: Cursor?, carrier: SimulatedCarrier? = nil
  ) {
    self.world = world
    self.carrier = carrier
    self.queue = queue
    self.id = id
    self.socket = socket
    wasRagged = socket.isRagged
    self.connection = connection
    self.came = came
    bornMs = world.postgres.nowMs
    cursor = came
    if carrier != nil { return }
    socket.opens = { [unowned self] _ in opens() }
    socket.closes = { [unowned self] in world.closed(self) }
  }

  var subject: String { queue.name }

  /// A lane may be gone before its carrier's socket is closed.
  var stream: Stream? {
    guard isOpen, !isEnded, carrier?.isGoing != true else { return nil }
    return connection.pointee.stream?.takeUnretainedValue()
  }

  /// The first byte goes out: what it is promised counts from here.
  private func opens() {
    openedStep = world.steps
    openedMs = world.postgres.nowMs
    guard let stream else { return }
    incarnation = queue.incarnation(of: stream)
    openedIn = incarnation
    incarnationNumber = incarnation?.number ?? 0
    if let came {
      (start, last, incarnation) = (came.id, came.id, came.incarnation)
    } else if stream.reader.isKnown {
      start = stream.log.tip
      last = stream.log.tip
      passAllUpToLast()
    } else {
      (start, incarnation) = (nil, nil)
      if !isOpenedBlindlyForAReason { fails("is opened, and nobody knows where it begins") }
    }
  }

  /// Nobody can say where the stream is, or nobody waits any longer.
  private var isOpenedBlindlyForAReason: Bool {
    isAsked || !world.reads.isExpected || world.refusedCount >= 2
      || world.postgres.nowMs - bornMs >= Int64(Heartbeat.longestOpeningSeconds) * 1_000
  }

  /// Takes what has come since the last time.
  func read() {
    while let block = frames.next(of: socket) { take(block) }
  }

  private func take(_ block: String) {
    world.trace(
      "client \(id) gets <\(block.prefix(100).split(separator: "\n").joined(separator: "|"))>")
    if isEnd(block) { return }
    switch frames.count {
    case 1: expect(block, "retry: 2000")
    case 2:
      let since = came?.id ?? start ?? 0
      expect(block, ": pgbus stream open since_id=\(since) stream=\(queue.name)")
    case 3: expect(block, "event: pgbus:connected\ndata: {\"connectionId\":\"\(id)\"}")
    default: receive(block)
    }
  }

  /// Whether it is told that it was closed, or should have been with what came before.
  func isEnd(_ block: String) -> Bool {
    if isTold { fails("got <\(block)> behind the last") }
    guard block == World.closedFrame else { return isTold }
    if !isAsked { fails("is told that it was closed") }
    isTold = true
    return true
  }
}
