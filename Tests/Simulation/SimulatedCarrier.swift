@testable import Millstream

/// A client with several streams on one connection. It takes apart what it is sent, has each stream judged
/// as if it came on a connection of its own, and sees that each cursor is right for all of them.
final class SimulatedCarrier: SimulatedPeer {
  /// What it asks for.
  struct Wishes {
    var store: StoreKind
    /// Single streams, each with a cursor of its own or none.
    var queues: [(queue: SimulatedQueue, since: SimulatedClient.Cursor?)] = []
    var patterns: [String] = []
    /// The patterns of which it wants all that there is, not only what comes from now on.
    var fromStart: Set<String> = []
    /// It asks for a name, too, that is none.
    var hasBadName = false
    /// What it was told last; nil: it comes for the first time.
    var lastEventID: String?
    /// What that says of each stream, and of what the id is.
    var positions: [ObjectIdentifier: SimulatedClient.Cursor] = [:]
    /// The patterns that it has followed before.
    var followed: Set<String> = []
  }

  unowned let world: World
  let wishes: Wishes
  let id: ConnectionID
  let socket: SimulatedSocket
  let connection: ConnectionRef
  let bornMs: Int64
  let bornStep: Int
  private(set) var openedStep: Int?
  private(set) var lanes: [SimulatedClient] = []
  /// The `id:` of the last whole event.
  private(set) var lastEventID: String?
  /// Of these it was told that more streams fit than it can have.
  private var refusedPatterns: Set<String> = []
  private var frames = ReceivedFrames()
  /// How many of the lanes' backlogs the world knows.
  private var notedLanes = 0
  var isAsked = false
  private var isToldAsAWhole = false
  var endReason: CloseReason?
  /// It was closed before anything was said of its streams, for one of them, and is not told.
  var isMute = false
  /// It ends with the last of its streams.
  var isOverWithLanes = false

  init(
    world: World, wishes: Wishes, id: ConnectionID, socket: SimulatedSocket,
    connection: ConnectionRef
  ) {
    self.world = world
    self.wishes = wishes
    self.id = id
    self.socket = socket
    self.connection = connection
    bornMs = world.postgres.nowMs
    bornStep = world.steps
    lastEventID = wishes.lastEventID
    for wish in wishes.queues { _ = lane(of: wish.queue) }
    socket.opens = { [unowned self] in opens($0) }
    socket.closes = { [unowned self] in world.closed(self) }
  }

  var isTold: Bool {
    isMute || isToldAsAWhole || isOverWithLanes && lanes.allSatisfy(\.isTold)
  }
  var subject: String { "many" }
  /// What it is asked of the streamer's own, which is gone with the socket.
  var isGoing: Bool { !isOpen || isAsked || connection.pointee.phase == .closing }
  var product: Carrier? { isGoing ? nil : world.writer.backlog(of: connection)?.carrier }

  /// More streams may fit than a connection can have.
  var mayHaveTooMany: Bool {
    let count = world.postgres.queues.count { $0.store == .native }
    return !wishes.patterns.isEmpty && count > CursorVector.maximumStreams
  }

  // MARK: Lanes

  private func fits(_ queue: SimulatedQueue) -> Bool {
    queue.store == .native && !followedPatterns(for: queue).isEmpty
  }

  private func followedPatterns(for queue: SimulatedQueue) -> [String] {
    wishes.patterns.filter {
      !refusedPatterns.contains($0) && StreamPattern($0).matches(queue.name.utf8)
    }
  }

  /// All of it is due to it, even what was there when it came.
  private func isFromTheStart(_ queue: SimulatedQueue) -> Bool {
    followedPatterns(for: queue).contains {
      wishes.fromStart.contains($0) || wishes.followed.contains($0)
    }
  }

  func lane(of queue: SimulatedQueue) -> SimulatedClient? {
    if let lane = lanes.first(where: { $0.queue === queue }) { return lane }
    let wish = wishes.queues.first { $0.queue === queue }
    guard wish != nil || fits(queue) else { return nil }
    let own = product?.lanes.first { $0.key == queue.key }?.connection
    let lane = SimulatedClient(
      world: world, queue: queue, id: id, socket: socket, connection: own ?? connection,
      came: wishes.positions[ObjectIdentifier(queue)] ?? wish?.since, carrier: self)
    lanes.append(lane)
    if let openedStep { lane.joins(at: openedStep) }
    return lane
  }

  private func queue(named name: String) -> SimulatedQueue? {
    world.postgres.queue(wishes.store, Array(name.utf8))
  }

  /// The first bytes go out, and say where it begins in each.
  private func opens(_ bytes: UnsafeRawBufferPointer) {
    // It is only told that it is closed.
    if isAsked { return }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    guard let line = lines.first(where: { $0.hasPrefix("id: ") }),
      let vector = CursorVector(text: line.dropFirst(4).utf8)
    else { return fails("opens with <\(lines)>") }
    if mayHaveTooMany { refusedPatterns = patternsNotFollowed() }
    // Of those whose place is not known yet, the opening says nothing.
    for own in product?.lanes ?? [] {
      if let queue = PercentEncoding.decode(own.name).flatMap({
        queue(named: String(decoding: $0, as: UTF8.self))
      }) {
        _ = lane(of: queue)
      }
    }
    for lane in lanes {
      let position = vector[lane.queue.key]
      lane.opens(at: position)
      if lane.came == nil, position?.id != 0, isFromTheStart(lane.queue),
        !wishes.queues.contains(where: { $0.queue === lane.queue })
      {
        lane.fails("is to come from its start, and begins at \(position?.text ?? "no place")")
      }
    }
    openedStep = world.steps
  }

  // MARK: Reading

  func read() {
    while let block = frames.next(of: socket) { take(block) }
  }

  private func take(_ block: String) {
    world.trace(
      "client \(id) gets <\(block.prefix(200).split(separator: "\n").joined(separator: "|"))>")
    if block == World.closedFrame {
      if !isAsked || isTold { fails("is told that it was closed") }
      return isToldAsAWhole = true
    }
    if isTold { return fails("got <\(block)> behind the last") }
    switch frames.count {
    case 1: expect(block, "retry: 2000")
    case 2: expect(block, ": millstream open streams=\(entryCount)")
    case 3: takeOpening(block)
    default: receive(block)
    }
  }

  private var entryCount: Int {
    wishes.queues.count + wishes.patterns.count + (wishes.hasBadName ? 1 : 0)
  }

  private func takeOpening(_ block: String) {
    let (line, rest) = SimulatedCarrier.parts(of: block)
    lastEventID = line
    guard let vector = CursorVector(text: (line ?? "").utf8) else {
      return fails("opens with <\(block)>")
    }
    expect(rest, openingFrame(vector))
  }

  /// As the product has it; what the client is told has to be the same.
  private func patternsNotFollowed() -> Set<String> {
    let followed = product?.patterns.map { String(decoding: $0.text, as: UTF8.self) }
    return Set(wishes.patterns).subtracting(followed ?? wishes.patterns)
  }

  /// What it is told of each entry is what the cursor says.
  private func openingFrame(_ vector: CursorVector) -> String {
    var entries = wishes.queues.map { queue, _ in
      let position = vector[queue.key]
      let id = position.map { #","id":"\#($0.text)""# } ?? ""
      return #"{"name":"\#(queue.name)"\#(id)}"#
    }
    if wishes.hasBadName { entries.insert(#"{"status":404}"#, at: 0) }
    entries += wishes.patterns.map {
      refusedPatterns.contains($0) ? #"{"status":413}"# : #"{"pattern":"\#($0)"}"#
    }
    return "event: pgbus:connected\n"
      + #"data: {"connectionId":"\#(id)","streams":[\#(entries.joined(separator: ","))]}"#
  }

  /// The text of the `id:` line, and the rest.
  private static func parts(of block: String) -> (id: String?, rest: String) {
    guard block.hasPrefix("id: "), let end = block.firstIndex(of: "\n") else { return (nil, block) }
    return (String(block[..<end].dropFirst(4)), String(block[block.index(after: end)...]))
  }

  private func receive(_ block: String) {
    if block.hasPrefix(": heartbeat ") { return }
    let (line, rest) = SimulatedCarrier.parts(of: block)
    let words = (line ?? "").split(separator: " ", omittingEmptySubsequences: false).map(
      String.init)
    guard (2...3).contains(words.count), let vector = CursorVector(text: words[0].utf8),
      let name = PercentEncoding.decode(Array(words[1].utf8)),
      let queue = queue(named: String(decoding: name, as: UTF8.self)), let lane = lane(of: queue)
    else { return fails("got <\(block)>") }
    lastEventID = line
    if !lane.isEnd(rest) {
      lane.receive(words.count == 3 ? "id: \(words[2])\n\(rest)" : rest)
    }
    judge(vector)
  }

  /// Whatever event it has had last, it can go on from there in each stream.
  private func judge(_ vector: CursorVector) {
    for queue in world.postgres.queues where queue.store == wishes.store {
      guard let position = vector[queue.key] else { continue }
      guard lane(of: queue) != nil else {
        return fails("the cursor says \(position) of \(queue.name), which it has not")
      }
    }
    for lane in lanes { lane.holds(vector[lane.queue.key]) }
    for pattern in wishes.patterns {
      let isThere = vector[Carrier.Pattern(Array(pattern.utf8)).key] != nil
      if isThere == refusedPatterns.contains(pattern) {
        fails("the cursor is wrong about \(pattern)")
      }
    }
  }

  // MARK: What holds

  /// Whether a stream becomes one of its own with the first that it is sent of it.
  func isToFollow(_ queue: SimulatedQueue) -> Bool {
    fits(queue) && !lanes.contains { $0.queue === queue }
  }

  /// Whether it takes at once whatever it is sent, and has all that there is in memory.
  var isReceptive: Bool {
    openedStep != nil && !isGoing && !isOverWithLanes
      && lanes.allSatisfy { $0.isEnded || $0.isReceptive }
  }

  func missing() -> String? {
    if isOpen && (isAsked || isOverWithLanes) { return "of many is still there" }
    guard !isGoing else { return nil }
    guard openedStep != nil else { return "of many was not opened" }
    for lane in lanes {
      if let missing = lane.missing() { return "of \(lane.queue.name) \(missing)" }
    }
    for queue in world.postgres.queues
    where isToFollow(queue) {
      if queue.current?.records.contains(where: { $0.isThere && $0.isFor(id) }) == true {
        return "has nothing of \(queue.name), which fits"
      }
      if let missing = missingEphemeral(of: queue, seen: []) { return missing }
    }
    return nil
  }

  /// After every step.
  func watch() {
    if let backlog = world.writer.backlog(of: connection) { world.note(backlog) }
    guard let product else { return }
    if !connection.pointee.isBlocked { socket.movedMs = world.postgres.nowMs }
    for lane in product.lanes.suffix(product.laneCount - notedLanes) {
      if let backlog = world.writer.backlog(of: lane.connection) { world.note(backlog) }
      world.note(lane.connection.pointee.stream?.takeUnretainedValue())
    }
    notedLanes = product.laneCount
    for lane in product.lanes {
      guard let backlog = world.writer.backlog(of: lane.connection) else {
        return fails("a lane has no backlog")
      }
      if backlog.page != nil && product.pageHolder !== lane { fails("two lanes have a page") }
      if !backlog.own.isEmpty { fails("a lane has bytes of its own") }
      if lane.connection.pointee.phase == .live && lane.position == nil {
        fails("a lane has its place, and the cursor does not tell it")
      }
    }
    for lane in lanes where lane.connection != connection && !lane.isEnded {
      world.watchPlace(of: lane)
    }
  }

  /// What it comes back with.
  var past: Wishes {
    var past = wishes
    past.lastEventID = lastEventID
    let word = (lastEventID ?? "").prefix { $0 != " " }
    guard let vector = CursorVector(text: word.utf8) else { return past }
    // What it was told of others once it has forgotten with the first event on this connection.
    if lastEventID != wishes.lastEventID {
      past.positions = [:]
      past.followed = Set(wishes.patterns).subtracting(refusedPatterns)
    }
    for lane in lanes {
      guard let position = vector[lane.queue.key] else { continue }
      past.positions[ObjectIdentifier(lane.queue)] = lane.cursor(at: position)
    }
    past.queues = past.queues.map { ($0.queue, nil) }
    return past
  }
}

/// What a stream of a connection that carries several is judged by beside its frames.
extension SimulatedClient {
  /// The connection is opened, and the cursor says this.
  func opens(at position: CursorVector.Position?) {
    openedStep = world.steps
    openedMs = world.postgres.nowMs
    let now = stream.flatMap { queue.incarnation(of: $0) }
    incarnationNumber = now?.number ?? 0
    openedIn = now
    if let came {
      begins(at: came)
      if position?.id != came.id {
        fails("begins at \(position.debugDescription) instead of \(came.text)")
      }
    } else if let position {
      begins(at: position, now)
    } else {
      (start, incarnation) = (nil, nil)
    }
  }

  private func begins(at came: Cursor) {
    (start, last, lastReceived, incarnation) = (came.id, came.id, came.id, came.incarnation)
  }

  private func begins(at position: CursorVector.Position, _ now: Incarnation?) {
    (start, last, lastReceived) = (position.id, position.id, position.id)
    incarnation = queue.store == .native ? known(position) : now
    if position.id > incarnation?.lastID ?? 0 && queue.store == .native {
      fails("begins at \(position), which there never was")
    }
    passAllUpToLast()
    passed = passed.mapValues { _ in openedStep ?? 0 }
  }

  private func known(_ position: CursorVector.Position) -> Incarnation? {
    queue.incarnations.first { $0.epoch != nil && $0.epoch == position.epoch }
  }

  /// The stream has come after the opening: it is to have all of it, but for what it had before.
  func joins(at step: Int) {
    openedStep = step
    if let came { begins(at: came) }
  }

  /// The cursor of an event, its own or another stream's, says this of it.
  func holds(_ position: CursorVector.Position?) {
    guard let position else {
      if start != nil { fails("the cursor says nothing of it any more") }
      return
    }
    if start == nil { adopt(position) }
    if position.id > last { fails("the cursor is at \(position.id), and it has \(last)") }
    if position.id < lastReceived {
      fails("the cursor is at \(position.id), and it has had \(lastReceived)")
    }
    let isUnheardOf = came.map { $0.id == last && !$0.text.contains("-") } ?? false
    if let epoch = incarnation?.epoch, position.id > 0, position.epoch != epoch, !isUnheardOf {
      fails("the cursor is of another epoch")
    }
  }

  /// Nobody knew where from now on is when it was opened, and now it is said.
  private func adopt(_ position: CursorVector.Position) {
    let found = queue.store == .native ? known(position) : nil
    for record in found?.records.prefix(Int(position.id)) ?? [] {
      if record.isThere && record.isFor(id) && !seen.contains(record.serial)
        && record.commitNumber > dueAfterCommit ?? .max
      {
        fails("m\(record.serial), id \(record.id), is before its beginning at \(position.id)")
      }
    }
    if incarnation == nil {
      let now = stream.flatMap { queue.incarnation(of: $0) }
      begins(at: position, queue.store == .native ? now : nil)
    } else {
      start = last
    }
  }

  /// What it comes back with.
  func cursor(at position: CursorVector.Position) -> Cursor {
    let suffix = position.epoch.map { "-" + String($0, radix: 16) } ?? ""
    let hasNothing = openedStep == nil || lastReceived == came?.id && !isAnew
    let isUntouched = position.id == came?.id && hasNothing
    let own = position.id == 0 ? known(position) : incarnation ?? known(position)
    return Cursor(
      id: position.id, text: "\(position.id)\(suffix)",
      incarnation: isUntouched ? came?.incarnation : own)
  }
}
