/// What comes into the logs, and what goes out of them at the other end.
extension Dispatcher {
  /// A wake-up, or the data itself, came for a stream.
  func wake(_ stream: Stream) {
    writer.statistics.wakeUps += 1
    stream.isSafetyLook = false
    comeBy(stream)
    awaitThrottle(of: stream)
  }

  /// A message that came with its notification.
  func deliver(_ message: StreamMessage, to stream: Stream, epoch: UInt32?) {
    guard let id = message.id else { return deliverEphemeral(message, to: stream) }
    let isNext = stream.reader.isKnown && id == stream.log.tip + 1 && epoch == stream.log.epoch
    if isNext && !stream.reader.isBusy && !isCrowded(stream) {
      message.lend { append($0, to: stream) }
    } else if epoch != stream.log.epoch {
      // Of a stream that was made anew: what is above the old one's tip says nothing.
      perform(stream.reader.lookWanted(), on: stream)
    } else if id > stream.log.tip {
      wake(stream)
    }
  }

  /// What was stored before it, and is being read, goes first.
  private func deliverEphemeral(_ message: StreamMessage, to stream: Stream) {
    presence?.heard(message, on: stream)
    if stream.reader.isBusy && stream.ephemerals.count < Stream.maximumEphemerals {
      stream.ephemerals.append(message)
      remind(stream, afterMs: Dispatcher.longestEphemeralWaitMs)
    } else {
      // Those that wait overtake what is stored with it, rather than it them.
      releaseEphemerals(of: stream)
      appendEphemeral(message, to: stream)
    }
  }

  /// Nobody can have it later, and keeping it for those who cannot follow has no bound.
  private func appendEphemeral(_ message: StreamMessage, to stream: Stream) {
    if isCrowded(stream) {
      writer.statistics.droppedEphemerals += 1
    } else {
      message.lend { append($0, to: stream) }
      writer.statistics.ephemeralMessages += 1
    }
  }

  /// What was stored before them has been read, or cannot be read soon.
  func releaseEphemerals(of stream: Stream) {
    let waiting = stream.ephemerals
    if waiting.isEmpty { return }
    stream.ephemerals = []
    for message in waiting { appendEphemeral(message, to: stream) }
  }

  func append(_ message: Message, to stream: Stream, isLate: Bool = false) {
    if let filter {
      filter.pass(message, of: stream) { stream.log.append($0, isLate: isLate) }
    } else {
      stream.log.append(message, isLate: isLate)
    }
    writer.statistics.messages += 1
    stream.messageCount &+= 1
    commitProbe?.appended(message.id, to: stream)
    fanOut.enqueue(stream)
  }

  func take(_ message: Message, of stream: Stream) -> Taking {
    if isCrowded(stream) { return .full }
    guard let id = message.id, id > stream.log.tip else { return .taken }
    guard stream.order.allows(id, after: stream.log.tip) else { return .heldBack }
    passOver(upTo: id, of: stream)
    append(message, to: stream)
    return .taken
  }

  func foundGap(in stream: Stream, oldest: Int64) {
    writer.statistics.gaps += 1
    // Who is told of it asks for all that there is now; a transaction that is still open may add to that.
    passOver(upTo: oldest, of: stream)
    stream.log.appendGap(oldest: oldest)
    fanOut.enqueue(stream)
  }

  func isCrowded(_ stream: Stream) -> Bool {
    stream.pass.isQueued && stream.log.byteCount > 2 * limits.logBytes
  }

  /// Everyone has what the log holds: its front can go, and what waits in the store can come.
  func passEnded(_ stream: Stream) {
    commitProbe?.passEnded(stream, in: self)
    streamStatistics?.passEnded(stream)
    trim(stream)
    guard stream.isReadPostponed else { return }
    stream.isReadPostponed = false
    dirty.append(stream)
  }

  private func trim(_ stream: Stream) {
    guard let start = stream.log.startIfTrimmed(toBytes: limits.logBytes) else { return }
    for connection in standing(in: stream, before: start) { moveOutOfLog(connection, stream) }
    stream.log.trim(toBytes: limits.logBytes)
  }

  /// Who stands before `start` is blocked and subscribed to the stream: the shorter list is walked.
  private func standing(in stream: Stream, before start: UInt64) -> [ConnectionRef] {
    let stands = { (connection: ConnectionRef) in
      connection.pointee.phase == .live && connection.pointee.position < start
        && connection.pointee.stream?.toOpaque() == Unmanaged.passUnretained(stream).toOpaque()
    }
    if stream.live.count < writer.blocked.count { return stream.live.members.filter(stands) }
    var found: [ConnectionRef] = []
    writer.blocked.forEach { connection in
      if stands(connection) { found.append(connection) }
      guard let carrier = writer.backlog(of: connection)?.carrier else { return }
      found += carrier.lanes.map(\.connection).filter(stands)
    }
    return found
  }

  /// What came late and it would not find in the store any more, as it is past its place.
  private func lateFrames(
    of stream: Stream, dueTo connection: ConnectionRef, _ backlog: Backlog
  ) -> [[UInt8]] {
    stream.log.late.compactMap { late in
      guard late.position >= connection.pointee.position, late.id <= backlog.cursor else {
        return nil
      }
      let (chunk, range) = stream.log.frame(at: late.position)
      guard writer.dueRun(in: chunk, from: range.lowerBound, to: connection).isDue else {
        return nil
      }
      return Array(
        UnsafeRawBufferPointer(start: chunk.base + range.lowerBound, count: range.count))
    }
  }

  /// What a slow client stands in goes: it keeps the rest of its frame and reads on from the store.
  private func moveOutOfLog(_ connection: ConnectionRef, _ stream: Stream) {
    writer.detachBegunFrame(of: connection)
    let backlog = writer.ensureBacklog(of: connection)
    backlog.cursor = max(backlog.cursor, stream.log.idBefore(connection.pointee.position))
    backlog.hasReceived = true
    let late = lateFrames(of: stream, dueTo: connection, backlog)
    backlog.joinedAt = 0
    backlog.ephemeralsFrom = connection.pointee.position
    stream.fallBehind(connection)
    move(connection, from: .live, to: .catchingUp)
    for frame in late { writer.sendOwn(frame, to: connection) }
    if let reset = stream.log.reset, connection.pointee.position < reset.end {
      backlog.lane?.beganAnew()
      writer.sendOwn(reset.frame, to: connection)
    }
    queueTurn(connection)
  }
}
