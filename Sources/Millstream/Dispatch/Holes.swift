/// What is done about messages that are held back because one below them may still come, and about
/// those that come too late.
extension Dispatcher {
  /// A stream that is seen for the first time begins at once where everything is settled; whoever
  /// connects waits no longer than this for that.
  private static let longestFirstLookMs: Int64 = 1_000

  /// Reads what is new; where messages are held back, no more often than is of use.
  func comeBy(_ stream: Stream) {
    let nowMs = writer.clock.monotonicMs
    seekLate(of: stream, nowMs)
    if let dueMs = stream.order.nextAskMs, dueMs > nowMs {
      remind(stream, afterMs: dueMs - nowMs)
    } else {
      perform(stream.reader.woken(), on: stream)
    }
  }

  // MARK: The first look

  func foundTip(of stream: Stream, _ finding: Finding, holders: [CommitOrder.Holder]) {
    let nowMs = writer.clock.monotonicMs
    if stream.lockedRelation != finding.lockedRelation {
      // It was made anew since the first look at it: what that waited for was of the old one.
      stream.lockedRelation = finding.lockedRelation
      stream.order = CommitOrder(settledThrough: 0)
    }
    stream.order.holeSeen(through: finding.tip, nowMs: nowMs)
    let through = stream.order.hold?.through ?? finding.tip
    let outcome = stream.order.holdersFound(
      holders, askedMs: nowMs, answeredMs: nowMs, longestWaitMs: Dispatcher.longestFirstLookMs)
    switch outcome {
    case .settled:
      var settled = finding
      settled.tip = through
      looked(at: stream, settled)
    case .waiting:
      stream.reader.failed()
      remind(stream, afterMs: (stream.order.nextAskMs ?? nowMs) - nowMs)
    case .givenUp:
      stores[stream.store]?.findOpenHoles(
        of: stream, finding, youngerThanMs: 2 * limits.holeWaitMs)
    }
  }

  /// The ids of a stream are followed from `tip` on.
  func keepOrder(of stream: Stream, from tip: Int64, _ finding: Finding) {
    if finding.lockedRelation == 0 { return }
    stream.order = CommitOrder(settledThrough: tip)
    stream.late = nil
    stream.isLateAsked = false
    if finding.lateHoles.isEmpty { return }
    stream.late = LateHoles(
      holders: finding.lateHolders, nowMs: writer.clock.monotonicMs)
    for range in finding.lateHoles { passOver(range, of: stream) }
    remindOfLate(stream)
  }

  // MARK: Holding back

  /// A read has ended at a hole. The first time, those who may fill it are asked for at once.
  func heldBack(_ stream: Stream, through: Int64) {
    if stream.order.hold == nil { writer.statistics.holes += 1 }
    stream.order.holeSeen(through: through, nowMs: writer.clock.monotonicMs)
    stream.reader.readHeld()
    comeBy(stream)
  }

  /// One query for all streams that wait for somebody. It goes out before their reads: a read says
  /// what is missing for good only if it comes after the answer.
  func askHolders(ofRead reads: [Stream], ofLate late: [Stream]) {
    let asking = reads.filter { $0.order.hold != nil } + late
    guard let kind = asking.first?.store else { return }
    stores[kind]?.askHolders(of: asking, nowMs: writer.clock.monotonicMs)
  }

  func foundHolders(_ holders: [CommitOrder.Holder], of stream: Stream, askedMs: Int64) {
    stream.late?.holdersFound(holders, askedMs: askedMs)
    let outcome = stream.order.holdersFound(
      holders, askedMs: askedMs, answeredMs: writer.clock.monotonicMs,
      longestWaitMs: limits.holeWaitMs)
    guard outcome == .givenUp else { return }
    if stream.late == nil { stream.late = LateHoles(holders: [], nowMs: askedMs) }
    stream.late?.add(holders: stream.order.givenUp)
    remindOfLate(stream)
  }

  // MARK: What comes late

  /// Notes what is missing below `id`, if somebody who was given up may still fill it.
  func passOver(upTo id: Int64, of stream: Stream) {
    let next = stream.log.tip + 1
    guard stream.late != nil, next < id else { return }
    if next <= stream.order.givenUpThrough { logGivenUp(next...(id - 1), of: stream) }
    passOver(next...(id - 1), of: stream)
  }

  private func passOver(_ ids: ClosedRange<Int64>, of stream: Stream) {
    if stream.late?.add(ids) == true { writer.statistics.forgottenHoles += 1 }
  }

  private func logGivenUp(_ ids: ClosedRange<Int64>, of stream: Stream) {
    writer.statistics.givenUpHoles += 1
    logger.warning(
      "a transaction has been open for too long; what it commits to this stream comes late",
      metadata: [
        "stream": "\(String(decoding: stream.storageName, as: UTF8.self))",
        "ids": "\(ids.lowerBound)-\(ids.upperBound)",
      ])
  }

  /// Asks for what is late, now and then.
  private func seekLate(of stream: Stream, _ nowMs: Int64) {
    guard let late = stream.late, !stream.isLateAsked else { return }
    let dueMs = late.askedMs + LateHoles.shortestPauseMs
    if nowMs < dueMs { return remind(stream, afterMs: dueMs - nowMs) }
    stream.isLateAsked = true
    lateSeekers.append(stream)
  }

  func takeLate(_ message: Message, id: Int64, of stream: Stream) -> Bool {
    if isCrowded(stream) { return false }
    guard stream.late?.remove(id) == true else { return true }
    writer.statistics.lateMessages += 1
    stream.log.cameLate(id)
    append(message, to: stream, isLate: true)
    give(message, id: id, toThoseBehindIn: stream)
    return true
  }

  /// Those who are catching up and are past its place would not come by it any more.
  private func give(_ message: Message, id: Int64, toThoseBehindIn stream: Stream) {
    let frame = Chunk(start: 0, capacity: Chunk.frameBytes(of: message, epoch: nil))
    let fits = frame.append(message, afterID: id, epoch: nil)
    precondition(fits, "the chunk was made for this frame")
    let bytes = Array(UnsafeRawBufferPointer(start: frame.base, count: frame.count))
    for connection in stream.waiting.members where connection.pointee.phase == .catchingUp {
      guard let backlog = writer.backlog(of: connection), backlog.isPast(id),
        writer.dueRun(in: frame, from: 0, to: connection).isDue
      else { continue }
      writer.sendOwn(bytes, to: connection)
    }
  }

  func lateReadEnded(of stream: Stream, isComplete: Bool) {
    stream.isLateAsked = false
    guard let late = stream.late else { return }
    if isComplete && late.holders.isEmpty {
      stream.late = nil
    } else {
      remindOfLate(stream)
    }
  }

  func lateReadFailed(of stream: Stream, _ failure: QueryFailure) {
    if case .refused(let sqlState, let message) = failure {
      logRefusal(of: stream, sqlState: sqlState, message: message)
    }
    lateReadEnded(of: stream, isComplete: false)
  }

  /// It is asked for from time to time, though nothing wakes the stream.
  func remindOfLate(_ stream: Stream) {
    guard let late = stream.late else { return }
    remind(stream, afterMs: max(late.nextAskMs - writer.clock.monotonicMs, 0))
  }
}
