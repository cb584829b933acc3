/// A connection that carries several streams.
///
/// Each of them is a lane: a connection in the table like any other, with its place in its stream, but
/// without a socket. What is due on a lane goes behind the bytes of the carrier's own, a bounded batch at a
/// time, each frame with an `id:` that names the stream and says where the client stands in all of them.
/// So a lane costs a position, a slow client holds one batch and one page, and the rest of the
/// program knows nothing of lanes.
final class Carrier {
  /// The one with the socket.
  let connection: ConnectionRef
  private(set) var lanes: [Lane] = []
  private var keys: Set<CursorVector.Key> = []
  /// Where the client stood in streams that have ended for it: it may come back for them.
  private var ended: [(key: CursorVector.Key, position: CursorVector.Position)] = []
  /// The patterns that it follows: each stream that fits becomes a lane.
  var patterns: [Pattern] = []
  /// How many of them wait for the streams that there are.
  var unlistedCount = 0
  /// How many lanes it has, or had before it was closed.
  private(set) var laneCount = 0
  /// The lanes on which something is due, in turn.
  var due = Deque<Lane>()
  /// The lane of whose frame a part was sent that is too large for a batch: nothing else goes before the
  /// rest of it.
  var begun: Lane?
  /// The lane that holds a page; the others wait for theirs until it was sent.
  var pageHolder: Lane?
  /// How many of the lanes know where they begin: with the last one, the opening can be sent.
  var openedCount = 0
  /// The opening was sent.
  var isOpen = false
  /// It is being pumped: what comes meanwhile is only noted.
  var isPumping = false
  /// What has to be said then.
  var opening: Opening

  /// What the opening of a carrier has to say.
  struct Opening {
    var head: [UInt8]
    var retryMs: Int64
    /// For each stream that was asked for: its name, or the status that refuses it.
    var entries: [SubscriptionSet.Entry]
  }

  /// A pattern, and what stands for it in a cursor.
  struct Pattern {
    let text: [UInt8]
    let key: CursorVector.Key

    init(_ text: [UInt8]) {
      self.text = text
      // No name holds a zero.
      key = CursorVector.Key([0] + text)
    }
  }

  /// How many bytes are copied for one `send`, but for the frame that goes beyond. It is what a client that
  /// takes nothing is kept of its own.
  static let batchBytes = 16 * 1024

  init(_ connection: ConnectionRef, _ opening: Opening) {
    self.connection = connection
    self.opening = opening
  }

  func add(_ lane: Lane) {
    lanes.append(lane)
    keys.insert(lane.key)
    laneCount += 1
  }

  /// Whether it has this stream, or had it.
  func hasLane(_ key: CursorVector.Key) -> Bool { keys.contains(key) }

  /// Whether nothing would be left to it without this lane.
  func carriesOnly(_ lane: Lane) -> Bool { lanes.count == 1 && patterns.isEmpty }

  /// A lane has ended alone. Its stream stays in the cursor, and no pattern brings it back to this
  /// connection. Whoever waits for the page that it may hold is told by the dispatcher.
  func remove(_ lane: Lane) {
    lanes.removeAll { $0 === lane }
    if let position = lane.position { ended.append((lane.key, position)) }
    let others = due
    due = Deque()
    others.forEach { if $0 !== lane { due.append($0) } }
  }

  /// All is known that its opening has to say.
  var mayOpen: Bool { !isOpen && unlistedCount == 0 && openedCount == lanes.count }

  /// For each stream that was asked for what the opening says of it.
  var entriesOfOpening: [String] {
    let lanes = Dictionary(lanes.map { ($0.key, $0) }) { first, _ in first }
    return opening.entries.map { entry in
      guard case .stream(let name) = entry else { return entry.json(at: nil) }
      return entry.json(at: lanes[CursorVector.Key(name.utf8)]?.position)
    }
  }

  /// It is over: the lanes go, too, and nothing holds anything any more.
  func close() -> [Lane] {
    let ended = lanes
    lanes = []
    due = Deque()
    begun = nil
    pageHolder = nil
    return ended
  }
}

/// One stream of a connection that carries several.
final class Lane {
  let carrier: Carrier
  /// Its place in the stream.
  let connection: ConnectionRef
  /// What is known of the client, as far as this stream goes.
  let context: ConnectionContext?
  /// The stream's name, as the client asked for it, percent-encoded.
  let name: [UInt8]
  let key: CursorVector.Key
  /// What the client has, once that is known.
  var position: CursorVector.Position?
  /// It is among those on which something is due.
  var isDue = false
  /// Ephemeral frames from here on are for it; nil: from its opening on.
  var hearsFrom: UInt64?

  init(
    _ carrier: Carrier, _ connection: ConnectionRef, name: String, context: ConnectionContext?
  ) {
    self.carrier = carrier
    self.connection = connection
    self.context = context
    self.name = PercentEncoding.encode(name.utf8)
    key = CursorVector.Key(name.utf8)
  }

  /// Whether it may take a page.
  var mayTakePage: Bool { carrier.isOpen && carrier.pageHolder == nil }
}

/// The `id:` lines of a carrier.
extension Carrier {
  /// Appends `id: CURSOR NAME ID` to `bytes`; `id`: the text of the stream's own id, nil for what is
  /// stored nowhere.
  func appendID(of lane: Lane, _ id: UnsafeRawBufferPointer?, to bytes: inout [UInt8]) {
    appendCursor(to: &bytes)
    bytes.append(ASCII.space)
    bytes.append(contentsOf: lane.name)
    if let id {
      bytes.append(ASCII.space)
      bytes.append(contentsOf: id)
    }
    bytes.append(ASCII.lineFeed)
  }

  /// Appends `id: CURSOR`, without an end of the line.
  func appendCursor(to bytes: inout [UInt8]) {
    bytes.append(contentsOf: "id: ".utf8)
    var encoder = CursorVector.Encoder(&bytes)
    for lane in lanes {
      if let position = lane.position { encoder.append(lane.key, position, to: &bytes) }
    }
    for (key, position) in ended { encoder.append(key, position, to: &bytes) }
    for pattern in patterns {
      encoder.append(pattern.key, CursorVector.Position(id: 0, epoch: nil), to: &bytes)
    }
    encoder.finish(&bytes)
  }
}
