/// Where a connection goes on: in the log, in a page, or after another look at the store.
extension Dispatcher {
  /// Takes in a connection that has to be opened.
  func subscribe(_ connection: ConnectionRef, to stream: Stream) {
    stream.join(connection)
    move(connection, from: nil, to: .opening)
    stream.emptySinceMs = nil
    // A look that is under way will do: what comes after it is heard, or found by a later one.
    if !stream.reader.isKnown && !stream.reader.isBusy {
      perform(stream.reader.lookWanted(), on: stream)
    }
    queueTurn(connection)
  }

  func leave(_ connection: ConnectionRef) {
    left(connection)
    presence?.ended(connection)
    // A lane that ends alone may hold what the others of its connection wait for.
    if let backlog = writer.backlog(of: connection), backlog.lane != nil { dropPage(of: backlog) }
    guard let stream = connection.pointee.stream?.takeUnretainedValue() else {
      if let carrier = writer.backlog(of: connection)?.carrier { unfollow(carrier) }
      move(connection, from: connection.pointee.wasOpened ? .live : .opening, to: nil)
      return tellEnd(of: connection, in: nil)
    }
    if writer.backlog(of: connection)?.lane == nil {
      tellEnd(of: connection, in: stream)
    } else {
      writer.admissions[connection.pointee.id]?.left(stream.store, stream.storageName)
    }
    streamStatistics?.ended(connection, stream)
    countLeaving(connection, of: stream)
    stream.leave(connection)
    if stream.subscriberCount == 0 && stream.emptySinceMs == nil {
      let nowMs = writer.clock.monotonicMs
      stream.emptySinceMs = nowMs
      empty.append((nowMs, stream))
    }
  }

  /// A connection has waited long for its opening: it gets it, whatever is not known yet.
  func openingIsOverdue(_ connection: ConnectionRef) {
    writer.ensureBacklog(of: connection).mayNotWait = true
    queueTurn(connection)
  }

  /// `stream` nil: it has carried several.
  private func tellEnd(of connection: ConnectionRef, in stream: Stream?) {
    if let endLog { return endLog.ended(connection, of: stream, in: self) }
    logger.debug(
      "connection ended",
      metadata: [
        "connection": "\(connection.pointee.id)", "reason": "\(connection.pointee.closeReason)",
      ])
  }

  private func countLeaving(_ connection: ConnectionRef, of stream: Stream) {
    let isInLog = stream.isInLog(connection)
    let wasOpened = connection.pointee.wasOpened
    move(connection, from: isInLog ? .live : wasOpened ? .catchingUp : .opening, to: nil)
  }

  func queueTurn(_ connection: ConnectionRef) {
    turns.append(connection)
  }

  /// Comes by some of those whose turn it is.
  func runTurns() {
    for _ in 0..<limits.turnsInSlice {
      guard let connection = turns.next(in: writer.table) else { return }
      switch connection.pointee.phase {
      case .opening, .catchingUp: place(connection)
      case .free, .live, .closing: break
      }
    }
  }

  /// Decides where a connection goes on: in the log, in a page, or after another look at the store.
  func place(_ connection: ConnectionRef) {
    guard let stream = connection.pointee.stream?.takeUnretainedValue() else { return }
    let backlog = writer.ensureBacklog(of: connection)
    if connection.pointee.phase == .opening {
      guard !backlog.isLast, backlog.mayNotWait || (isUnderstood(stream) && isHeard(stream))
      else { return }
      open(connection, backlog, stream)
      guard connection.pointee.phase == .catchingUp else { return }
    }
    if let lane = backlog.lane, !lane.carrier.isOpen { return }
    guard stream.reader.isKnown else { return }
    if backlog.page != nil { return writer.pump(connection) }
    if backlog.cursor == Backlog.fromNowOn {
      backlog.cursor = stream.log.tip
      backlog.lane?.begins(at: backlog, in: stream)
    }
    if isFromElsewhere(backlog, stream) { return questionCursor(connection, backlog, stream) }
    if let next = stream.log.position(afterID: min(backlog.cursor, stream.log.tip)) {
      // Where ephemeral frames came before that while it caught up, it begins with those.
      let position = max(min(next, backlog.ephemeralsFrom), stream.log.start)
      backlog.joinedAt = position < stream.log.end ? stream.log.end : 0
      stream.goLive(connection, at: position)
      move(connection, from: .catchingUp, to: .live)
      writer.pump(connection)
    } else if giveKeptPage(connection, backlog, of: stream) {
      writer.pump(connection)
    } else {
      seekPage(stream)
    }
  }

  /// Whether it is known where the stream is; where nobody can say, nobody waits for it.
  private func isUnderstood(_ stream: Stream) -> Bool {
    let isAnswerExpected = stores[stream.store]?.isAnswering == true
    return stream.reader.isKnown || stream.isLookFailing || !isAnswerExpected
  }

  /// Whoever was told that it is connected hears what is sent after that, stored or not.
  private func isHeard(_ stream: Stream) -> Bool {
    listener.isListening(to: stream.channels) || !listener.isExpected
  }

  private func open(_ connection: ConnectionRef, _ backlog: Backlog, _ stream: Stream) {
    guard let opening = backlog.opening else { return }
    backlog.opening = nil
    begin(backlog, at: opening.cursor, in: stream)
    connection.pointee.phase = .catchingUp
    move(connection, from: .opening, to: .catchingUp)
    backlog.ephemeralsFrom = backlog.lane?.hearsFrom ?? stream.log.end
    if let lane = backlog.lane { return laneOpened(lane, backlog, stream) }
    let frames = ControlFrames.opening(
      retryMs: opening.retryMs, since: max(backlog.cursor, 0), name: opening.name,
      connection: connection.pointee.id)
    writer.sendOwn(opening.head + frames, to: connection)
    connection.pointee.wasOpened = true
    logger.debug(
      "connection opened",
      metadata: ["connection": "\(connection.pointee.id)", "stream": "\(opening.name)"])
    opened(connection)
    isOpen(connection, stream, name: opening.name.utf8, writer.contexts[connection.pointee.id])
  }

  /// A connection, or a lane, can be sent to from now on.
  func isOpen(
    _ connection: ConnectionRef, _ stream: Stream, name: some Sequence<UInt8>,
    _ context: ConnectionContext?
  ) {
    presence?.opened(connection, stream, name: name, context)
    streamStatistics?.opened(stream)
  }

  private func begin(_ backlog: Backlog, at cursor: CursorRequest, in stream: Stream) {
    switch cursor {
    case .none, .invalid:
      backlog.cursor = stream.reader.isKnown ? stream.log.tip : Backlog.fromNowOn
      // A lane waits for the others, and meanwhile the stream may become another.
      backlog.hasReceived = stream.reader.isKnown
    case .after(let id, let epoch):
      backlog.cursor = id
      backlog.cursorEpoch = epoch
    }
  }

  func isFromElsewhere(_ backlog: Backlog, _ stream: Stream) -> Bool {
    if backlog.isFromElsewhere { return true }
    if let epoch = backlog.cursorEpoch, let own = stream.log.epoch, epoch != own { return true }
    return backlog.cursor > max(stream.highestSeen, stream.log.tip)
  }

  /// The cursor is above all that exists, or of an earlier stream. What we know may be older than
  /// what the client has, so the store is asked once before the client is told.
  private func questionCursor(
    _ connection: ConnectionRef, _ backlog: Backlog, _ stream: Stream
  ) {
    // What is being asked may have been answered by the store before the client came.
    let askedAt =
      backlog.questionedAtLook ?? stream.looksAnswered + (stream.reader.isLooking ? 1 : 0)
    backlog.questionedAtLook = askedAt
    guard stream.looksAnswered > askedAt else {
      if !stream.reader.isLooking { perform(stream.reader.lookWanted(), on: stream) }
      return
    }
    tellOfReset(connection, lastSeen: backlog.cursor)
    backlog.isFromElsewhere = false
    backlog.cursor = 0
    backlog.cursorEpoch = nil
    guard connection.pointee.phase == .catchingUp else { return }
    place(connection)
  }
}
