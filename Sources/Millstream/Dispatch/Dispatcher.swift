import Logging

/// Dirty streams in, frames out: the one place that decides what is read, and when.
///
/// Nothing is asked at once. What happens during an iteration of the loop is noted, and before the
/// loop sleeps everything that was noted goes out as one pipelined batch.
final class Dispatcher {
  let registry = Registry()
  let writer: Writer
  let fanOut: FanOut
  let listener: Listener
  let logger: Logger
  let limits: Limits
  private(set) var stores: [StoreKind: MessageStore] = [:]

  /// Bounds and intervals of the dispatcher.
  struct Limits {
    /// How many bytes of frames a stream keeps in memory for those who come back.
    var logBytes = 256 * 1024
    /// A stream with subscribers is looked at that often though nothing woke it.
    var safetyPollMs: Int64 = 5_000
    /// A stream without subscribers is forgotten after that.
    var lingerMs: Int64 = 5_000
    /// Stores are given the chance to tidy up that often.
    var maintenanceMs: Int64 = 60_000
    /// How many connections are placed or brought up to date in one slice.
    var turnsInSlice = 128
  }

  private var looks: [StoreKind: [Stream]] = [:]
  private var dirty: [Stream] = []
  private var pageSeekers: [Stream] = []
  private var turns: [Turn] = []
  private var turnsHead = 0
  private var throttled: [(dueMs: Int64, stream: Stream)] = []
  private var empty: [Stream] = []
  private var isStopped = false
  private var nextMaintenanceMs: Int64 = 0
  /// Parts of a stream that are due for a look, in milliseconds of the safety interval.
  private var safetyShare: Int64 = 0

  /// A connection whose turn it is, unless its slot was given to another since.
  private struct Turn {
    var slot: UInt32
    var id: ConnectionID
  }

  init(writer: Writer, listener: Listener, stores: [MessageStore], limits: Limits, logger: Logger) {
    self.writer = writer
    self.listener = listener
    self.limits = limits
    self.logger = logger
    fanOut = FanOut(writer: writer)
    fanOut.passEnded = { [unowned self] in passEnded($0) }
    writer.backlogEnded = { [unowned self] in pageEnded($0) }
    for store in stores {
      self.stores[store.kind] = store
      store.receiver = self
    }
  }

  /// No more reading; connections stay as they are until they are closed.
  func stop() {
    isStopped = true
  }

  // MARK: The end of an iteration

  /// One slice of everything that was put off; returns whether there is more to do at once.
  func runSlice() -> Bool {
    runTurns()
    sendQuestions()
    listener.flush()
    fanOut.runSlice()
    writer.reap { [unowned self] in leave($0) }
    return fanOut.hasMore || turnsHead < turns.count || writer.hasClosed
  }

  private func sendQuestions() {
    guard !isStopped else { return }
    let noted = (looks: looks, reads: dirty, pages: pageSeekers)
    looks.removeAll(keepingCapacity: true)
    dirty.removeAll(keepingCapacity: true)
    pageSeekers.removeAll(keepingCapacity: true)
    for (kind, streams) in noted.looks { stores[kind]?.look(at: streams) }
    for stream in noted.reads { stores[stream.store]?.read(stream) }
    for stream in noted.pages { requestPages(for: stream) }
    for store in stores.values { store.reads.flush() }
  }

  // MARK: Connections

  /// Takes in a connection that has to be opened.
  func subscribe(_ connection: ConnectionRef, to stream: Stream) {
    stream.join(connection)
    stream.emptySinceMs = nil
    if !stream.reader.isKnown { perform(stream.reader.lookWanted(), on: stream) }
    queueTurn(connection)
  }

  /// The stream of this name, made if nobody is subscribed to it yet.
  func stream(_ kind: StoreKind, _ name: [UInt8], channels: [String]) -> Stream {
    let known = name.withUnsafeBytes { registry.stream(kind, $0) }
    let stream = known ?? Stream(store: kind, storageName: name)
    if known == nil { registry.add(stream) }
    for channel in channels where !stream.channels.contains(channel) {
      stream.channels.append(channel)
      listener.add(channel)
    }
    return stream
  }

  /// At most one turn waits for each connection, so there are never more turns than connections.
  func queueTurn(_ connection: ConnectionRef) {
    guard !connection.pointee.hasTurn else { return }
    connection.pointee.hasTurn = true
    turns.append(Turn(slot: connection.pointee.slot, id: connection.pointee.id))
  }

  private func runTurns() {
    let end = min(turns.count, turnsHead + limits.turnsInSlice)
    while turnsHead < end {
      let turn = turns[turnsHead]
      turnsHead += 1
      guard let connection = writer.table.connection(Int(turn.slot)),
        connection.pointee.id == turn.id
      else { continue }
      connection.pointee.hasTurn = false
      switch connection.pointee.phase {
      case .opening, .catchingUp: place(connection)
      case .free, .live, .closing: break
      }
    }
    if turnsHead == turns.count {
      turns.removeAll(keepingCapacity: turns.count < 1024)
      turnsHead = 0
    }
  }

  private func leave(_ connection: ConnectionRef) {
    logger.debug(
      "connection ended",
      metadata: [
        "connection": "\(connection.pointee.id)", "reason": "\(connection.pointee.closeReason)",
      ])
    guard let stream = connection.pointee.stream?.takeUnretainedValue() else { return }
    stream.leave(connection)
    if stream.subscriberCount == 0 && stream.emptySinceMs == nil {
      stream.emptySinceMs = writer.clock.monotonicMs
      empty.append(stream)
    }
  }

  /// Decides where a connection goes on: in the log, in a page, or after another look at the store.
  private func place(_ connection: ConnectionRef) {
    guard let stream = connection.pointee.stream?.takeUnretainedValue() else { return }
    let backlog = writer.ensureBacklog(of: connection)
    if connection.pointee.phase == .opening {
      let mayWait = stores[stream.store]?.reads.isExpected == true
      guard stream.reader.isKnown || stream.isLookFailing || !mayWait else { return }
      open(connection, backlog, stream)
      guard connection.pointee.phase == .catchingUp else { return }
    }
    guard stream.reader.isKnown else { return }
    if backlog.page != nil { return writer.pump(connection) }
    if backlog.cursor == Backlog.fromNowOn { backlog.cursor = stream.log.tip }
    if isFromElsewhere(backlog, stream) { return questionCursor(connection, backlog, stream) }
    if let position = stream.log.position(afterID: min(backlog.cursor, stream.log.tip)) {
      backlog.joinedAt = position < stream.log.end ? stream.log.end : 0
      stream.goLive(connection, at: position)
      writer.pump(connection)
    } else {
      seekPage(stream)
    }
  }

  private func open(_ connection: ConnectionRef, _ backlog: Backlog, _ stream: Stream) {
    guard let opening = backlog.opening else { return }
    backlog.opening = nil
    var since: Int64 = 0
    switch opening.cursor {
    case .none, .invalid:
      backlog.cursor = stream.reader.isKnown ? stream.log.tip : Backlog.fromNowOn
      since = stream.reader.isKnown ? stream.log.tip : 0
    case .after(let id, let epoch):
      backlog.cursor = id
      backlog.cursorEpoch = epoch
      since = id
    }
    connection.pointee.phase = .catchingUp
    let frames = ControlFrames.opening(
      retryMs: opening.retryMs, since: since, name: opening.name, connection: connection.pointee.id)
    writer.sendOwn(opening.head + frames, to: connection)
  }

  // MARK: Cursors that are not of this stream

  private func isFromElsewhere(_ backlog: Backlog, _ stream: Stream) -> Bool {
    if let epoch = backlog.cursorEpoch, let own = stream.log.epoch, epoch != own { return true }
    return backlog.cursor > max(stream.highestSeen, stream.log.tip)
  }

  /// The cursor is above all that exists, or of an earlier stream. What we know may be older than
  /// what the client has, so the store is asked once before the client is told.
  private func questionCursor(
    _ connection: ConnectionRef, _ backlog: Backlog, _ stream: Stream
  ) {
    if !backlog.wasQuestioned {
      backlog.wasQuestioned = true
      return perform(stream.reader.lookWanted(), on: stream)
    }
    guard !stream.reader.isBusy else { return }
    writer.statistics.resets += 1
    writer.sendOwn(
      ControlFrames.gap(lastSeen: backlog.cursor, oldest: nil, reason: "reset"), to: connection)
    backlog.cursor = 0
    backlog.cursorEpoch = nil
    place(connection)
  }

  // MARK: Pages

  private func seekPage(_ stream: Stream) {
    guard !stream.isInPageQueue else { return }
    stream.isInPageQueue = true
    pageSeekers.append(stream)
  }

  /// Asks for as few pages as serve all who wait: those whose cursors lie close share one.
  private func requestPages(for stream: Stream) {
    stream.isInPageQueue = false
    let cursors = stream.waiting.members.compactMap { connection -> Int64? in
      guard connection.pointee.phase == .catchingUp, let backlog = writer.backlog(of: connection),
        backlog.page == nil, backlog.cursor < stream.log.floor
      else { return nil }
      return backlog.cursor
    }
    var covered: Int64 = -1
    for cursor in cursors.sorted() where cursor > covered {
      let span = Int64(MessageStore.pageRows) - 1
      let pending = stream.requestedPages.filter { $0 <= cursor && cursor - $0 <= span }.max()
      if pending == nil {
        stream.requestedPages.insert(cursor)
        stores[stream.store]?.readPage(of: stream, after: cursor)
      }
      covered = (pending ?? cursor) + span
    }
  }

  private func pageEnded(_ connection: ConnectionRef) {
    guard let backlog = writer.backlog(of: connection) else { return }
    backlog.page = nil
    backlog.cursor = max(backlog.cursor, backlog.pageThrough)
    place(connection)
  }

  // MARK: The log

  /// Everyone has what the log holds: its front can go, and what waits in the store can come.
  private func passEnded(_ stream: Stream) {
    trim(stream)
    guard stream.isReadPostponed else { return }
    stream.isReadPostponed = false
    dirty.append(stream)
  }

  private func trim(_ stream: Stream) {
    guard let start = stream.log.startIfTrimmed(toBytes: limits.logBytes) else { return }
    writer.blocked.forEach { connection in
      guard connection.pointee.phase == .live, connection.pointee.position < start,
        connection.pointee.stream?.toOpaque() == Unmanaged.passUnretained(stream).toOpaque()
      else { return }
      moveOutOfLog(connection, stream)
    }
    stream.log.trim(toBytes: limits.logBytes)
  }

  /// What a slow client stands in goes: it keeps the rest of its frame and reads on from the store.
  private func moveOutOfLog(_ connection: ConnectionRef, _ stream: Stream) {
    guard writer.detachBegunFrame(of: connection) else { return }
    let backlog = writer.ensureBacklog(of: connection)
    backlog.cursor = stream.log.idBefore(connection.pointee.position)
    backlog.joinedAt = 0
    stream.fallBehind(connection)
    queueTurn(connection)
  }

  private func isCrowded(_ stream: Stream) -> Bool {
    stream.pass.isQueued && stream.log.byteCount > 2 * limits.logBytes
  }

  // MARK: What the streams' readers want

  func perform(_ action: StreamReader.Action, on stream: Stream) {
    switch action {
    case .none: break
    case .look: looks[stream.store, default: []].append(stream)
    case .read:
      if isCrowded(stream) { stream.isReadPostponed = true } else { dirty.append(stream) }
    }
  }

  /// A wake-up, or the data itself, came for a stream.
  func wake(_ stream: Stream) {
    perform(stream.reader.woken(), on: stream)
    awaitThrottle(of: stream)
  }

  /// After a wake-up the trigger may keep silent for a time, and says nothing at its end.
  private func awaitThrottle(of stream: Stream) {
    guard stream.throttleMs > 0, !stream.isAwaitingThrottle else { return }
    stream.isAwaitingThrottle = true
    throttled.append((writer.clock.monotonicMs + stream.throttleMs + 10, stream))
  }

  /// A message that came with its notification.
  func deliver(_ message: Message, to stream: Stream, epoch: UInt32?) {
    guard let id = message.id else {
      // Nobody can have it later, and keeping it for those who cannot follow has no bound.
      if isCrowded(stream) {
        writer.statistics.droppedEphemerals += 1
      } else {
        append(message, to: stream)
      }
      return
    }
    let isNext = stream.reader.isKnown && id == stream.log.tip + 1 && epoch == stream.log.epoch
    if isNext && !stream.reader.isBusy && !isCrowded(stream) {
      append(message, to: stream)
    } else if id > stream.log.tip || epoch != stream.log.epoch {
      wake(stream)
    }
  }

  func append(_ message: Message, to stream: Stream) {
    stream.log.append(message)
    writer.statistics.messages += 1
    fanOut.enqueue(stream)
  }

  // MARK: Time

  /// Called by a timer, some ten times a second.
  func tick(intervalMs: Int64) {
    let nowMs = writer.clock.monotonicMs
    checkThrottled(nowMs)
    forgetEmpty(nowMs)
    lookForSafety(intervalMs)
    maintain(nowMs)
  }

  private func maintain(_ nowMs: Int64) {
    guard nowMs >= nextMaintenanceMs else { return }
    nextMaintenanceMs = nowMs + limits.maintenanceMs
    for store in stores.values where store.reads.isReady { store.maintain() }
  }

  private func checkThrottled(_ nowMs: Int64) {
    let due = throttled.filter { $0.dueMs <= nowMs }
    if due.isEmpty { return }
    throttled.removeAll { $0.dueMs <= nowMs }
    for (_, stream) in due {
      stream.isAwaitingThrottle = false
      if stream.subscriberCount > 0 { perform(stream.reader.woken(), on: stream) }
    }
  }

  private func forgetEmpty(_ nowMs: Int64) {
    while let stream = empty.first {
      let isDue = stream.emptySinceMs.map { nowMs - $0 >= limits.lingerMs } ?? true
      guard isDue else { return }
      empty.removeFirst()
      // It has subscribers again, or a later entry; or it is busy and its turn comes again.
      guard stream.emptySinceMs != nil else { continue }
      if stream.reader.isBusy || stream.pass.isQueued {
        empty.append(stream)
        return
      }
      for channel in stream.channels { listener.remove(channel) }
      registry.remove(stream)
      stream.emptySinceMs = nil
    }
  }

  /// A wake-up is a hint and never the truth: every stream is looked at now and then. Each tick takes
  /// its share of the streams; what is less than one is carried over.
  private func lookForSafety(_ intervalMs: Int64) {
    guard limits.safetyPollMs > 0 else { return }
    safetyShare += Int64(registry.streams.count) * intervalMs
    let count = safetyShare / limits.safetyPollMs
    safetyShare %= limits.safetyPollMs
    for stream in registry.nextStreams(Int(count)) where stream.subscriberCount > 0 {
      if !stream.reader.isBusy { perform(stream.reader.lookWanted(), on: stream) }
    }
  }

  // MARK: Sessions

  /// The reading session is new: whatever is known is old.
  func readsReady() {
    for stream in registry.streams { perform(stream.reader.lookWanted(), on: stream) }
  }

  /// No answer will come; those who wait for their opening get it now.
  func readsLost() {
    for stream in registry.streams {
      for connection in stream.waiting.members where connection.pointee.phase == .opening {
        queueTurn(connection)
      }
    }
  }

  /// Notifications on these channels come from now on; those from before are lost.
  func listening(on channels: [String]) {
    let names = Set(channels)
    for stream in registry.streams {
      let isMeant = stream.store == .native || stream.channels.contains(where: names.contains)
      if isMeant { perform(stream.reader.lookWanted(), on: stream) }
    }
  }
}

// MARK: - What the stores found

extension Dispatcher: StoreReceiver {
  func looked(at stream: Stream, _ finding: Finding?) {
    guard let finding else {
      perform(stream.reader.foundAbsent(), on: stream)
      return placeWaiting(of: stream)
    }
    stream.isLookFailing = false
    if finding.identity != stream.identity { begin(stream, finding) }
    stream.highestSeen = finding.highestID
    stream.throttleMs = finding.throttleMs
    perform(stream.reader.found(hasNews: finding.highestID > stream.log.tip), on: stream)
    placeWaiting(of: stream)
  }

  /// The stream is seen for the first time, or is another than before.
  private func begin(_ stream: Stream, _ finding: Finding) {
    if stream.identity == 0 && !stream.reader.isKnown {
      stream.log = StreamLog(tip: finding.tip, epoch: finding.epoch)
    } else {
      restart(stream, finding)
    }
    stream.identity = finding.identity
  }

  /// Whatever is in the new stream is new to those who are connected.
  private func restart(_ stream: Stream, _ finding: Finding) {
    let wasThere = stream.identity != 0
    let lastSeen = stream.log.tip
    for connection in stream.live.members {
      guard writer.detachBegunFrame(of: connection) else { continue }
      connection.pointee.position = 0
      if wasThere {
        writer.statistics.resets += 1
        let gap = ControlFrames.gap(lastSeen: lastSeen, oldest: nil, reason: "reset")
        writer.sendOwn(gap, to: connection)
      }
    }
    for connection in stream.waiting.members { dropPage(of: connection) }
    stream.log = StreamLog(tip: 0, epoch: finding.epoch)
    stream.pass.mustRepeat = stream.pass.isQueued
  }

  /// Whoever was reading a page of the earlier stream is told, and gets all of the new one.
  private func dropPage(of connection: ConnectionRef) {
    guard let backlog = writer.backlog(of: connection), backlog.page != nil,
      writer.detachBegunFrame(of: connection)
    else { return }
    backlog.page = nil
    writer.statistics.resets += 1
    let gap = ControlFrames.gap(lastSeen: backlog.cursor, oldest: nil, reason: "reset")
    backlog.cursor = 0
    writer.sendOwn(gap, to: connection)
  }

  /// Whoever has a page goes on by itself.
  private func placeWaiting(of stream: Stream) {
    for connection in stream.waiting.members
    where writer.backlog(of: connection)?.page == nil { queueTurn(connection) }
  }

  func take(_ message: Message, of stream: Stream) -> Bool {
    if isCrowded(stream) { return false }
    if let id = message.id, id > stream.log.tip { append(message, to: stream) }
    return true
  }

  func readEnded(of stream: Stream, isShort: Bool) {
    perform(stream.reader.pageRead(isShort: isShort), on: stream)
    if !stream.waiting.isEmpty { placeWaiting(of: stream) }
  }

  func took(_ page: Page, of stream: Stream) {
    stream.requestedPages.remove(page.after)
    writer.statistics.replayPages += 1
    for connection in stream.waiting.members {
      guard let backlog = writer.backlog(of: connection), backlog.page == nil,
        connection.pointee.phase == .catchingUp, backlog.cursor >= page.after,
        backlog.cursor < page.through
      else { continue }
      backlog.page = page.frames
      backlog.pageThrough = page.through
      backlog.pageOffset = page.frames.offset(afterID: backlog.cursor)
      queueTurn(connection)
    }
    seekPage(stream)
  }

  func questionFailed(of stream: Stream, _ failure: QueryFailure, page: Int64?) {
    if let page {
      stream.requestedPages.remove(page)
    } else if failure.isAbsence && stream.reader.isReading {
      return perform(stream.reader.vanished(), on: stream)
    } else {
      stream.reader.failed()
    }
    if case .refused(let sqlState, let message) = failure {
      refused(stream, sqlState: sqlState, message: message)
    }
  }

  /// The next safety look tries again; what is wrong is said once, not each time.
  private func refused(_ stream: Stream, sqlState: String, message: String) {
    if !stream.isLookFailing {
      logger.error(
        "postgres refuses to read a stream",
        metadata: [
          "stream": "\(String(decoding: stream.storageName, as: UTF8.self))",
          "sqlstate": "\(sqlState)", "reason": "\(message)",
        ])
    }
    stream.isLookFailing = true
    placeWaiting(of: stream)
  }
}
