private enum LaneWriter {
  /// So much of a frame that is too large to be copied goes with its `id:`, so that it is begun.
  static let beginningBytes = 1024
}

/// How what is due on lanes goes out on their carrier's socket.
extension Writer {
  /// Makes a connection one that carries several streams.
  func makeCarrier(
    _ connection: ConnectionRef, _ opening: Carrier.Opening, _ context: ConnectionContext?
  ) -> Carrier {
    let carrier = Carrier(connection, opening)
    ensureBacklog(of: connection).carrier = carrier
    carrierCount += 1
    if let context { setContext(context, of: connection) }
    return carrier
  }

  /// Adds a lane, which then has to be subscribed to its stream.
  @discardableResult
  func addLane(of carrier: Carrier, _ subscription: Subscription) -> Lane {
    let connection = makeLaneConnection(of: carrier)
    let lane = Lane(carrier, connection, name: subscription.name, context: subscription.context)
    let backlog = ensureBacklog(of: connection)
    backlog.lane = lane
    backlog.opening = Backlog.Opening(
      head: [], name: subscription.name, cursor: subscription.cursor, retryMs: 0)
    carrier.add(lane)
    return lane
  }

  /// Something is due on a lane, or the carrier itself has something to send.
  func pumpCarrier(_ backlog: Backlog) {
    guard let carrier = backlog.carrier ?? backlog.lane?.carrier else { return }
    if let lane = backlog.lane { note(lane) }
    // It is in the middle of it, or waits until its socket has room: then it comes by what was noted.
    let isCalled = backlog.carrier != nil || !carrier.connection.pointee.isBlocked
    guard isCalled, !carrier.isPumping, carrier.connection.pointee.phase != .closing else { return }
    carrier.isPumping = true
    pumpSocket(of: carrier.connection)
    carrier.isPumping = false
  }

  private func note(_ lane: Lane) {
    // One that has ended alone is out of the list for good: its place in the table goes to others.
    if lane.isDue || lane.connection.pointee.phase == .closing { return }
    lane.isDue = true
    lane.carrier.due.append(lane)
  }

  /// The carrier has no bytes of its own left: gives it those that are due on its lanes.
  func pumpLanes(of carrier: Carrier, _ backlog: Backlog) -> Progress {
    guard carrier.isOpen else { return .sentAll }
    if let lane = carrier.begun { return sendRest(of: lane) }
    swap(&backlog.own.bytes, &spareBytes)
    backlog.own.bytes.removeAll(keepingCapacity: true)
    while backlog.own.bytes.count < Carrier.batchBytes, carrier.begun == nil,
      let lane = carrier.due.popFirst()
    {
      lane.isDue = false
      if copy(from: lane, to: backlog) { note(lane) }
    }
    if !backlog.own.isEmpty {
      carrier.connection.pointee.lastDeliverySeconds = UInt32(clock.monotonicMs / 1000)
      return .hasMore
    }
    swap(&backlog.own.bytes, &spareBytes)
    return .sentAll
  }

  /// Copies a batch of the frames that are due on a lane; says whether there may be more.
  private func copy(from lane: Lane, to backlog: Backlog) -> Bool {
    while backlog.own.bytes.count < Carrier.batchBytes, lane.carrier.begun == nil {
      guard let (chunk, offset) = place(of: lane.connection) else { return false }
      if offset < chunk.count {
        move(lane.connection, by: copy(chunk, from: offset, of: lane, to: backlog) - offset)
      } else {
        backlogEnded(lane.connection)
      }
    }
    return true
  }

  /// Where a lane goes on: in its page, which may be at its end, or in the log.
  private func place(of connection: ConnectionRef) -> (chunk: Chunk, offset: Int)? {
    switch connection.pointee.phase {
    case .free, .opening, .closing: return nil
    case .catchingUp:
      guard let backlog = backlog(of: connection), let page = backlog.page else { return nil }
      return (page, backlog.pageOffset)
    case .live:
      guard let stream = connection.pointee.stream?.takeUnretainedValue(),
        connection.pointee.position < stream.log.end
      else { return nil }
      let chunk = stream.log.chunk(at: connection.pointee.position)
      return (chunk, Int(connection.pointee.position - chunk.start))
    }
  }

  /// Copies the run that begins at `offset`, as far as there is room, or steps over it if it is not due;
  /// returns where the lane stands then.
  private func copy(_ chunk: Chunk, from offset: Int, of lane: Lane, to backlog: Backlog) -> Int {
    let run = dueRun(in: chunk, from: offset, to: lane.connection)
    guard run.isDue else { return run.range.upperBound }
    var index = chunk.index(at: offset)
    var offset = offset
    while offset < run.range.upperBound, backlog.own.bytes.count < Carrier.batchBytes {
      let frame = UnsafeRawBufferPointer(
        start: chunk.base + offset, count: chunk.frameEnd(index) - offset)
      note(index, of: chunk, isSentOn: lane)
      let id = FrameWriter.idText(of: frame)
      lane.carrier.appendID(of: lane, id, to: &backlog.own.bytes)
      let rest = frame[FrameWriter.bytesOfLine(ofID: id)...]
      if frame.count > Carrier.batchBytes {
        backlog.own.bytes.append(contentsOf: rest.prefix(LaneWriter.beginningBytes))
        lane.carrier.begun = lane
        return offset + rest.startIndex + LaneWriter.beginningBytes
      }
      backlog.own.bytes.append(contentsOf: rest)
      offset += frame.count
      index += 1
    }
    return offset
  }

  /// The client has had all up to this frame, or will have before anything else.
  private func note(_ index: Int, of chunk: Chunk, isSentOn lane: Lane) {
    guard let stream = lane.connection.pointee.stream?.takeUnretainedValue() else { return }
    let entry = chunk.entries[index]
    if entry.kind == .stored {
      lane.position = CursorVector.Position(id: entry.id, epoch: stream.log.epoch)
    } else if lane.connection.pointee.phase == .live,
      stream.log.reset?.end == chunk.start + UInt64(chunk.frameEnd(index))
    {
      lane.beganAnew()
    }
  }

  private func sendRest(of lane: Lane) -> Progress {
    guard let (chunk, rest) = begunFrame(of: lane.connection) else {
      preconditionFailure("a lane that was begun is in the middle of a frame")
    }
    let descriptor = lane.carrier.connection.pointee.descriptor
    let outcome = calls.send(descriptor, chunk.base + rest.lowerBound, rest.count)
    return account(outcome, of: rest.count, lane.carrier.connection) { count in
      move(lane.connection, by: count)
      if count == rest.count { lane.carrier.begun = nil }
    }
  }

  // MARK: What is for one lane alone

  /// As `sendOwn` to its carrier, with an `id:` that names the stream.
  func sendOwn(_ bytes: [UInt8], on lane: Lane) {
    // Nothing goes before the opening: a stream may begin anew, or a message come late, while the lanes wait
    // for each other, and the opening says where they begin after that.
    guard lane.carrier.isOpen else { return }
    var frame: [UInt8] = []
    lane.carrier.appendID(of: lane, nil, to: &frame)
    sendOwn(frame + bytes, to: lane.carrier.connection)
  }

  /// As `detachBegunFrame(of:)`: what a carrier has begun is of one of its lanes.
  func detachBegunFrame(ofPart backlog: Backlog) {
    guard let carrier = backlog.carrier ?? backlog.lane?.carrier, let lane = carrier.begun,
      backlog.lane == nil || backlog.lane === lane,
      let (chunk, rest) = begunFrame(of: lane.connection)
    else { return }
    ensureBacklog(of: carrier.connection).own.append(rest, of: chunk)
    move(lane.connection, by: rest.count)
    carrier.begun = nil
  }
}
