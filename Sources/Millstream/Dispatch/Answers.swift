/// What the stores found.
extension Dispatcher: StoreReceiver {
  func looked(at stream: Stream, _ finding: Finding?) {
    stream.looksAnswered += 1
    stream.wasRefused = false
    defer { readingPaused(of: stream) }
    guard let finding else {
      perform(stream.reader.foundAbsent(), on: stream)
      return placeWaiting(of: stream)
    }
    stream.isLookFailing = false
    let wentBack = stream.hasGoneBack(to: finding.highestID)
    if finding.identity != stream.identity || wentBack {
      begin(stream, finding)
    } else if stream.isInDoubt {
      stores[stream.store]?.checkTip(of: stream, finding)
      return
    }
    found(stream, finding)
  }

  func checkedTip(of stream: Stream, _ finding: Finding, isSame: Bool) {
    defer { readingPaused(of: stream) }
    stream.isInDoubt = false
    if !isSame { begin(stream, finding) }
    found(stream, finding)
  }

  private func found(_ stream: Stream, _ finding: Finding) {
    stream.highestSeen = finding.highestID
    noteForeignCursors(of: stream)
    stream.lockedRelation = finding.lockedRelation
    noteThrottle(finding.throttleMs, of: stream)
    countSafetyLook(of: stream)
    perform(stream.reader.found(hasNews: finding.highestID > stream.log.tip), on: stream)
    placeWaiting(of: stream)
  }

  /// A wake-up that was sent and did not come, or none was sent.
  private func countSafetyLook(of stream: Stream) {
    if stream.isSafetyLook && stream.highestSeen != Finding.unknownID
      && stream.highestSeen > stream.log.tip
    {
      writer.statistics.safetyFinds += 1
    }
    stream.isSafetyLook = false
  }

  /// However far the ids have come until it is their turn, these cursors are of another stream. A look
  /// that was under way when they came says nothing of them.
  private func noteForeignCursors(of stream: Stream) {
    for connection in stream.waiting.members {
      guard let backlog = writer.backlog(of: connection), let askedAt = backlog.questionedAtLook,
        stream.looksAnswered > askedAt
      else { continue }
      backlog.isFromElsewhere = isFromElsewhere(backlog, stream)
    }
  }

  /// A throttle that was not known may have begun with a wake-up that nobody heard.
  private func noteThrottle(_ throttleMs: Int64, of stream: Stream) {
    let isNew = throttleMs != stream.throttleMs
    stream.throttleMs = throttleMs
    if isNew { awaitThrottle(of: stream) }
  }

  /// The stream is seen for the first time, or is another than before.
  private func begin(_ stream: Stream, _ finding: Finding) {
    if stream.identity == 0 && !stream.reader.isKnown {
      stream.log = StreamLog(tip: finding.tip, epoch: finding.epoch)
      keepOrder(of: stream, from: finding.tip, finding)
    } else {
      restart(stream, finding)
    }
    stream.identity = finding.identity
    stream.isInDoubt = false
    // Positions count anew, and what those who wait have to be told they are told apart.
    for connection in stream.waiting.members {
      let backlog = writer.backlog(of: connection)
      backlog?.ephemeralsFrom = stream.log.end
      if backlog?.lane?.hearsFrom != nil { backlog?.lane?.hearsFrom = stream.log.end }
    }
  }

  /// Whatever is in the new stream is new to those who are connected. What was begun of the old one is
  /// finished first; the old log has to be gone before anything else is sent.
  private func restart(_ stream: Stream, _ finding: Finding) {
    let wasThere = stream.identity != 0
    let lastSeen = stream.log.tip
    for connection in stream.live.members where connection.pointee.phase == .live {
      beginAnew(connection)
      connection.pointee.position = 0
    }
    // Whoever has come with a cursor and got nothing yet may have the cursor from the new stream.
    let readers = stream.waiting.members.filter {
      $0.pointee.phase == .catchingUp && writer.backlog(of: $0)?.hasReceived == true
    }
    for connection in readers { beginAnew(connection) }
    pageShelf.drop(of: stream)
    stream.beginAnew(StreamLog(tip: 0, epoch: finding.epoch))
    keepOrder(of: stream, from: 0, finding)
    stream.pass.mustRepeat = stream.pass.isQueued
    if wasThere { tellOfReset(stream, readers, lastSeen: lastSeen) }
  }

  /// Those who are live find it in the log, in slices, however many they are.
  private func tellOfReset(_ stream: Stream, _ readers: [ConnectionRef], lastSeen: Int64) {
    for connection in readers { tellOfReset(connection, lastSeen: lastSeen) }
    if stream.live.isEmpty { return }
    writer.statistics.resets += UInt64(stream.live.count)
    stream.log.appendReset(Dispatcher.resetFrame(lastSeen: lastSeen))
    fanOut.enqueue(stream)
  }

  /// Says that the ids have begun anew.
  func tellOfReset(_ connection: ConnectionRef, lastSeen: Int64) {
    writer.statistics.resets += 1
    writer.backlog(of: connection)?.lane?.beganAnew()
    writer.sendOwn(Dispatcher.resetFrame(lastSeen: lastSeen), to: connection)
  }

  private static func resetFrame(lastSeen: Int64) -> [UInt8] {
    ControlFrames.gap(lastSeen: lastSeen, oldest: nil, reason: "reset")
  }

  /// Whoever has a page goes on by itself.
  func placeWaiting(of stream: Stream) {
    for connection in stream.waiting.members
    where writer.backlog(of: connection)?.page == nil { queueTurn(connection) }
  }

  func readEnded(of stream: Stream, _ end: ReadEnd) {
    if case .held(let through) = end {
      heldBack(stream, through: through)
    } else {
      if end == .short { stream.order.allTaken() }
      perform(stream.reader.pageRead(isShort: end == .short), on: stream)
      if stream.isResetUnconfirmed && !stream.reader.isBusy { lookWanted(at: stream) }
    }
    readingPaused(of: stream)
    if !stream.waiting.isEmpty { placeWaiting(of: stream) }
  }

  func questionFailed(of stream: Stream, _ failure: QueryFailure, page: Int64?) {
    if let page { stream.requestedPages.remove(page) } else { stream.reader.failed() }
    readingPaused(of: stream)
    guard case .refused(let sqlState, let message) = failure else { return }
    if mayBeChanging(stream, failure) {
      if !failure.isLocked { stream.wasRefused = true }
      return remind(stream, afterMs: Dispatcher.changedPauseMs)
    }
    // A table that is gone is no fault: the next look says whether the stream still exists.
    countRefusal(failure, of: stream)
    if !failure.isAbsence { logRefusal(of: stream, sqlState: sqlState, message: message) }
    stream.isLookFailing = true
    placeWaiting(of: stream)
  }

  /// While somebody makes it anew it is locked, and then a question may find one of its tables gone (as
  /// `XX000`). Whoever waits is let in once it is known what is there: it would miss what comes between its
  /// opening and that. Nobody waits where nothing is known the second time either, or for longer than anybody.
  private func mayBeChanging(_ stream: Stream, _ failure: QueryFailure) -> Bool {
    !stream.reader.isKnown && (failure.isLocked || !stream.wasRefused)
  }

  /// Unless there is more to read at once, what has waited for it can go.
  private func readingPaused(of stream: Stream) {
    if !stream.reader.isBusy { releaseEphemerals(of: stream) }
  }

  func lookWanted(at stream: Stream) {
    perform(stream.reader.lookWanted(), on: stream)
  }

  private func countRefusal(_ failure: QueryFailure, of stream: Stream) {
    if stream.store == .host || failure.isAbsence || failure.isLocked { return }
    writer.statistics.refusedQuestions += 1
  }

  /// The next safety look tries again; what is wrong is said once, not each time.
  func logRefusal(of stream: Stream, sqlState: String, message: String) {
    guard !stream.isLookFailing else { return }
    logger.error(
      "postgres refuses to read a stream",
      metadata: [
        "stream": "\(String(decoding: stream.storageName, as: UTF8.self))",
        "sqlstate": "\(sqlState)", "reason": "\(message)",
      ])
  }
}
