/// Connections that carry several streams: each of these is placed like any other, but nothing is said before
/// it is known of all where they begin.
extension Dispatcher {
  /// Takes in a connection that carries several streams, with all that it asks for.
  func take(_ carrier: Carrier, _ set: SubscriptionSet) {
    move(carrier.connection, from: nil, to: .opening)
    let streams = set.subscriptions.filter { !$0.isPattern }
    for subscription in streams { writer.addLane(of: carrier, subscription) }
    for (entry, subscription) in set.patterns {
      follow(subscription, carrier, entry: entry, set.cursor.vector)
    }
    for (lane, subscription) in zip(carrier.lanes, streams) {
      let stream = stream(
        subscription.store, subscription.storageName, name: subscription.name,
        channels: subscription.channels)
      subscribe(lane.connection, to: stream)
    }
  }

  /// It is known where a lane begins.
  func laneOpened(_ lane: Lane, _ backlog: Backlog, _ stream: Stream) {
    lane.connection.pointee.wasOpened = true
    lane.begins(at: backlog, in: stream)
    lane.carrier.openedCount += 1
    if lane.carrier.isOpen { isOpen(lane) } else { openIfReady(lane.carrier) }
  }

  func openIfReady(_ carrier: Carrier) {
    guard carrier.mayOpen, carrier.connection.pointee.phase == .opening,
      writer.backlog(of: carrier.connection)?.isLast != true
    else { return }
    open(carrier)
  }

  private func open(_ carrier: Carrier) {
    let connection = carrier.connection
    carrier.isOpen = true
    connection.pointee.phase = .live
    connection.pointee.wasOpened = true
    move(connection, from: .opening, to: .live)
    var cursor: [UInt8] = []
    carrier.appendCursor(to: &cursor)
    let frames = ControlFrames.opening(
      retryMs: carrier.opening.retryMs, entries: carrier.entriesOfOpening, cursor: cursor,
      connection: connection.pointee.id)
    writer.sendOwn(carrier.opening.head + frames, to: connection)
    logger.debug(
      "connection opened",
      metadata: ["connection": "\(connection.pointee.id)", "streams": "\(carrier.lanes.count)"])
    for lane in carrier.lanes {
      isOpen(lane)
      queueTurn(lane.connection)
    }
  }

  private func isOpen(_ lane: Lane) {
    opened(lane.connection)
    guard presence != nil || streamStatistics != nil,
      let stream = lane.connection.pointee.stream?.takeUnretainedValue(),
      let name = PercentEncoding.decode(lane.name)
    else { return }
    isOpen(lane.connection, stream, name: name, lane.context)
  }

  /// A connection has no page any more; of a carrier, the other lanes can have theirs.
  func dropPage(of backlog: Backlog) {
    backlog.page = nil
    guard let lane = backlog.lane, lane.carrier.pageHolder === lane else { return }
    lane.carrier.pageHolder = nil
    for other in lane.carrier.lanes
    where other !== lane && other.connection.pointee.phase == .catchingUp {
      queueTurn(other.connection)
    }
  }
}

extension Lane {
  /// The client is told, with what comes next, that the ids have begun anew. Not before: what is said
  /// meanwhile on other lanes must still say where it was, or whoever is cut off then would not hear of it.
  func beganAnew() {
    guard let stream = connection.pointee.stream?.takeUnretainedValue() else { return }
    // Of one that is gone nothing is known of what follows.
    let epoch = stream.reader.isAbsent ? nil : stream.log.epoch
    position = CursorVector.Position(id: 0, epoch: epoch)
  }

  /// The client is to have what comes behind the cursor; nobody knows yet where from now on is.
  func begins(at backlog: Backlog, in stream: Stream) {
    guard backlog.cursor != Backlog.fromNowOn else { return }
    position = CursorVector.Position(
      id: backlog.cursor, epoch: backlog.cursorEpoch ?? stream.log.epoch)
  }
}
