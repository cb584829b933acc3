/// Sends to clients: never blocks, never copies what is in a log, and keeps account of those whose
/// socket is full.
///
/// `pump` is the one way in which a connection's bytes go out, in this order: its own bytes, its
/// page, the log. The fan-out has a short cut for the case that is nearly all cases.
final class Writer {
  let clock: Clock
  let table: ConnectionTable
  var blocked: BlockedQueue
  /// What is asked of those whose socket is full.
  var patience = Patience()

  /// A connection has come to the end of its page, or of its own bytes, and is not live.
  var backlogEnded: (ConnectionRef) -> Void = { _ in }
  /// Whether a context carries a label; asked for frames with `visible_to` only. Nil: what the context
  /// itself says.
  var audience: AudiencePredicate?
  /// What is known of those of whom anything is.
  private(set) var contexts: [ConnectionID: ConnectionContext] = [:]
  /// What has to be remembered of those of whom anything has.
  private(set) var admissions: [ConnectionID: Admission] = [:]
  /// When those go whose context has an end.
  var expiries = ExpiryQueue()
  /// The clients' descriptors, those included whose requests are being read.
  var descriptors = DescriptorSet()

  let loop: EventLoop
  let calls: SystemCalls
  /// Behind a pointer, because Swift checks each access to a property of a class at run time, and these
  /// are counted in every delivery.
  private let counters = UnsafeMutablePointer<Statistics>.allocate(capacity: 1)
  @exclusivity(unchecked) private var closed = Deque<ConnectionRef>()
  /// One `send` of a page at a time, so that a long replay does not hold the loop.
  private static let pumpRuns = 16
  private static let reapsInSlice = 256
  /// What a lane has for a socket.
  private static let noDescriptor: Int32 = -1
  /// How many of the table's connections are lanes.
  private(set) var laneCount = 0
  /// How many have lanes.
  var carrierCount = 0
  /// The bytes of the carrier that is being pumped, to be used again for the next one.
  var spareBytes: [UInt8] = []

  init(loop: EventLoop, clock: Clock, calls: SystemCalls) {
    self.loop = loop
    self.clock = clock
    self.calls = calls
    table = ConnectionTable()
    blocked = BlockedQueue(table: table)
    counters.initialize(to: Statistics())
  }

  /// What has been done so far.
  var statistics: Statistics {
    get { counters.pointee }
    _modify { yield &counters.pointee }
  }

  /// Whoever is still connected when the instance goes is let go without a word.
  deinit {
    for slot in 0..<table.slotCount {
      guard let connection = table.connection(slot) else { continue }
      stopWatching(connection)
      _ = backlog(of: connection)?.carrier?.close()
      closeSocket(of: connection)
      dropBacklog(of: connection)
    }
    counters.deinitialize(count: 1)
    counters.deallocate()
  }

  // MARK: Taking in and letting go

  /// What is known of a connection.
  func setContext(_ context: ConnectionContext, of connection: ConnectionRef) {
    contexts[connection.pointee.id] = context
    guard let end = context.expiresAt else { return }
    expiries.add(connection.pointee.id, at: end) { [table] in table.connection(named: $0) != nil }
  }

  /// What is known of a connection, or of a lane alone: one without a context of its own has none.
  func context(of connection: ConnectionRef) -> ConnectionContext? {
    if let lane = backlog(of: connection)?.lane { return lane.context }
    return contexts[connection.pointee.id]
  }

  /// Takes over a connected, nonblocking descriptor. `id`: the connection's name; nil: a new one. `arrival`:
  /// how its client has come, if it came by an endpoint.
  func adopt(
    _ descriptor: Int32, id: ConnectionID? = nil, _ arrival: Arrival? = nil
  ) -> ConnectionRef {
    let connection = table.allocate(id: id, seed: arrival?.requestID.seed)
    if let admission = arrival?.admission { admissions[connection.pointee.id] = admission }
    connection.pointee.lastDeliverySeconds = UInt32(clock.monotonicMs / 1000)
    connection.pointee.cameSeconds = connection.pointee.lastDeliverySeconds
    startWatching(connection, descriptor)
    statistics.opened += 1
    descriptors.insert(descriptor)
    return connection
  }

  /// Closes a descriptor that cannot be taken in.
  func refuse(_ descriptor: Int32) {
    calls.close(descriptor)
  }

  /// Marks a connection as ended; it goes when the loop reaps. A lane does not end alone.
  func close(_ connection: ConnectionRef, _ reason: CloseReason) {
    guard connection.pointee.phase != .closing else { return }
    let backlog = backlog(of: connection)
    if let lane = backlog?.lane { return close(lane.carrier.connection, reason) }
    for lane in backlog?.carrier?.close() ?? [] { end(lane.connection, reason) }
    end(connection, reason)
    statistics.closed[Int(reason.rawValue)] += 1
  }

  /// A connection, or a lane alone, is marked as ended, and counted nowhere.
  func end(_ connection: ConnectionRef, _ reason: CloseReason) {
    connection.pointee.phase = .closing
    connection.pointee.closeReason = reason
    blocked.remove(connection)
    stopWatching(connection)
    closed.append(connection)
  }

  var hasClosed: Bool { !closed.isEmpty }

  /// Frees a slice of what was closed; never called from within a callback of a connection. Closing a
  /// socket is work for the kernel, and ten thousand clients may go at once.
  func reap(_ leaving: (ConnectionRef) -> Void) {
    for _ in 0..<Writer.reapsInSlice {
      guard let connection = closed.popFirst() else { return }
      leaving(connection)
      closeSocket(of: connection)
      dropBacklog(of: connection)
      table.free(connection)
    }
  }

  /// A lane has none, and what is known of its carrier stays as long as that is there.
  private func closeSocket(of connection: ConnectionRef) {
    let descriptor = connection.pointee.descriptor
    if descriptor == Writer.noDescriptor { return laneCount -= 1 }
    if backlog(of: connection)?.carrier != nil { carrierCount -= 1 }
    contexts[connection.pointee.id] = nil
    if !admissions.isEmpty { admissions[connection.pointee.id] = nil }
    descriptors.remove(descriptor)
    calls.close(descriptor)
  }

  /// Makes a lane's place in the table: a connection without a socket, of the carrier's name.
  func makeLaneConnection(of carrier: Carrier) -> ConnectionRef {
    let connection = table.allocate(id: carrier.connection.pointee.id)
    connection.pointee.watcher.fd = Writer.noDescriptor
    connection.pointee.lastDeliverySeconds = UInt32(clock.monotonicMs / 1000)
    laneCount += 1
    return connection
  }

  // MARK: Sending

  /// The fan-out's short cut: one `send` of bytes that are the same for many, to each member of `turn` that
  /// stands where they begin, up to the first that is due something else.
  func send(_ run: SharedRun, in turn: inout FanOutTurn, logEnd: UInt64, nowSeconds: UInt32) {
    let runEnd = run.end
    var taken = 0
    while turn.next < turn.members.count && turn.sends < turn.budget {
      let connection = turn.members[turn.next]
      let isDue = connection.pointee.canTake && connection.pointee.position != logEnd
      if isDue && connection.pointee.position != run.position { break }
      turn.next += 1
      guard isDue else { continue }
      turn.sends += 1
      guard send(run, to: connection) else { continue }
      connection.pointee.position = runEnd
      connection.pointee.lastDeliverySeconds = nowSeconds
      taken += 1
      if runEnd != logEnd { pump(connection) }
    }
    count(sends: taken, bytes: taken * run.count)
  }

  /// Says whether the kernel took all of the run.
  @inline(__always)
  private func send(_ run: SharedRun, to connection: ConnectionRef) -> Bool {
    guard connection.pointee.backlog == nil, run.count > 0 else {
      pump(connection)
      return false
    }
    let sent = calls.sendOnce(connection.pointee.descriptor, run.base, run.count)
    if sent == run.count { return true }
    sentInPart(sent, to: connection)
    return false
  }

  /// The way of the few, which is kept out of the loop of the many. `sent` is what `send` has returned.
  @inline(never)
  private func sentInPart(_ sent: Int, to connection: ConnectionRef) {
    switch SystemCalls.outcome(ofSent: sent) {
    case .transferred(let count):
      connection.pointee.position += UInt64(count)
      connection.pointee.lastDeliverySeconds = UInt32(truncatingIfNeeded: clock.monotonicMs / 1000)
      self.count(sends: 1, bytes: count)
      block(connection, hasMoved: true)
    case nil: pump(connection)
    case .wouldBlock: block(connection, hasMoved: false)
    case .closed: close(connection, .clientGone)
    case .timedOut: close(connection, .timedOut)
    }
  }

  /// So many sends of the short cut took so many bytes.
  func count(sends: Int, bytes: Int) {
    statistics.sends += UInt64(sends)
    statistics.bytesSent += UInt64(bytes)
  }

  /// Sends what is due to a connection until there is no more, or the socket is full, or it has had
  /// its share of this turn.
  func pump(_ connection: ConnectionRef) {
    if let backlog = connection.pointee.backlog?.takeUnretainedValue(), backlog.isPartOfCarrier {
      return pumpCarrier(backlog)
    }
    pumpSocket(of: connection)
  }

  func pumpSocket(of connection: ConnectionRef) {
    let sentBefore = statistics.bytesSent
    for _ in 0..<Writer.pumpRuns {
      guard connection.pointee.phase != .closing else { return }
      switch pumpOnce(connection) {
      case .sentAll: return unblock(connection)
      case .hasMore: continue
      case .full: return block(connection, hasMoved: statistics.bytesSent != sentBefore)
      case .gone(let reason): return close(connection, reason)
      }
    }
    // Asking to be told that it is writable, which it is, gives the others their turn first.
    block(connection, hasMoved: true)
  }

  enum Progress { case sentAll, hasMore, full, gone(CloseReason) }

  private func pumpOnce(_ connection: ConnectionRef) -> Progress {
    if let backlog = connection.pointee.backlog?.takeUnretainedValue() {
      if !backlog.own.isEmpty { return sendOwnBytes(backlog, to: connection) }
      if let reason = backlog.endReason { return .gone(reason) }
      if let carrier = backlog.carrier { return pumpLanes(of: carrier, backlog) }
      if connection.pointee.phase != .live { return pumpPage(backlog, to: connection) }
    }
    guard connection.pointee.phase == .live, let stream = connection.pointee.stream else {
      return .sentAll
    }
    return stream._withUnsafeGuaranteedRef { sendFromLog($0.log, to: connection) }
  }

  private func sendOwnBytes(_ backlog: Backlog, to connection: ConnectionRef) -> Progress {
    let (outcome, due) = backlog.own.withNext { next in
      (calls.send(connection.pointee.descriptor, next.baseAddress!, next.count), next.count)
    }
    return account(outcome, of: due, connection) { count in
      let spent = backlog.own.removeFirst(count)
      if backlog.carrier != nil, let spent { spareBytes = spent }
    }
  }

  private func pumpPage(_ backlog: Backlog, to connection: ConnectionRef) -> Progress {
    guard let page = backlog.page else { return .sentAll }
    if backlog.pageOffset >= page.count {
      backlogEnded(connection)
      return connection.pointee.phase == .catchingUp && backlog.page == nil ? .sentAll : .hasMore
    }
    let run = dueRun(in: page, from: backlog.pageOffset, to: connection)
    return sendRun(run, of: page, to: connection) { backlog.pageOffset = $0 }
  }

  private func sendFromLog(_ log: borrowing StreamLog, to connection: ConnectionRef) -> Progress {
    guard connection.pointee.position < log.end else { return .sentAll }
    let chunk = log.chunk(at: connection.pointee.position)
    let offset = Int(connection.pointee.position - chunk.start)
    let run = dueRun(in: chunk, from: offset, to: connection)
    return sendRun(run, of: chunk, to: connection) {
      connection.pointee.position = chunk.start + UInt64($0)
    }
  }

  /// Sends a run of due bytes, or steps over one that is not due.
  private func sendRun(
    _ run: Run, of chunk: Chunk, to connection: ConnectionRef, moveTo: (Int) -> Void
  ) -> Progress {
    guard run.isDue else {
      moveTo(run.range.upperBound)
      return .hasMore
    }
    let outcome = calls.send(
      connection.pointee.descriptor, chunk.base + run.range.lowerBound, run.range.count)
    return account(outcome, of: run.range.count, connection) { count in
      connection.pointee.lastDeliverySeconds = UInt32(clock.monotonicMs / 1000)
      moveTo(run.range.lowerBound + count)
    }
  }

  func account(
    _ outcome: IOOutcome, of due: Int, _ connection: ConnectionRef, _ moveBy: (Int) -> Void
  ) -> Progress {
    switch outcome {
    case .transferred(let count):
      statistics.sends += 1
      statistics.bytesSent += UInt64(count)
      if connection.pointee.isBlocked { blocked.sent(count, to: connection) }
      moveBy(count)
      if count < due { return .full }
      return .hasMore
    case .wouldBlock: return .full
    case .closed: return .gone(.clientGone)
    case .timedOut: return .gone(.timedOut)
    }
  }
}
