@testable import Millstream

/// What holds after every step, and what is left at the end.
extension World {
  func check() {
    for queue in postgres.queues { notices(queue) }
    checkClients()
    checkCarriers()
    checkStreams()
    checkStates()
    if reads.openCount > 4 * dispatcher.registry.streams.count + (isWide ? 24 : 12) {
      fails("\(reads.openCount) queries are open")
    }
  }

  private func checkClients() {
    for client in clients where client.isOpen {
      client.read()
      watch(client)
    }
    // What was sent up to its end counts too.
    for client in clients where !client.isOpen {
      client.read()
      checkEnd(of: client)
      gone.append((client.queue, client.cursor))
    }
    clients.removeAll { !$0.isOpen }
    if gone.count > 8 { gone.removeFirst() }
  }

  /// Whoever ends because that was asked for has heard why: who takes too little ends for that.
  func checkEnd(of peer: SimulatedPeer) {
    if peer.endReason == .requested && !isEnding && !peer.isTold {
      fails("client \(peer.id) goes without a word")
    }
  }

  private func watch(_ client: SimulatedClient) {
    let connection = client.connection.pointee
    if let backlog = writer.backlog(of: client.connection) { note(backlog) }
    if connection.phase == .closing { return }
    if !connection.isBlocked { client.socket.movedMs = postgres.nowMs }
    watchPlace(of: client)
  }

  func watchPlace(of client: SimulatedClient) {
    let connection = client.connection.pointee
    guard connection.phase == .live, let stream = client.stream else {
      client.liveSince = nil
      return
    }
    client.liveSince = client.liveSince ?? steps
    client.dueAfterCommit = client.dueAfterCommit ?? postgres.commitCount
    if connection.position < stream.log.start || connection.position > stream.log.end {
      fails("client \(client.id) stands at \(connection.position), outside of the log")
    }
    if stream.live.members[Int(connection.memberIndex)] != client.connection {
      fails("client \(client.id) is not where its index says")
    }
  }

  /// They are counted as they change; here all are looked at.
  private func checkStates() {
    var states = ConnectionStates()
    var laneStates = ConnectionStates()
    for stream in dispatcher.registry.streams {
      for connection in stream.live.members { count(connection, .live, &states, &laneStates) }
      for connection in stream.waiting.members {
        let state: ConnectionStates.State = connection.pointee.wasOpened ? .catchingUp : .opening
        count(connection, state, &states, &laneStates)
      }
    }
    for carrier in carriers where !carrier.socket.isClosed {
      states.move(from: nil, to: carrier.connection.pointee.wasOpened ? .live : .opening)
    }
    if states != dispatcher.states { fails("\(dispatcher.states) are counted, \(states) there") }
    if laneStates != dispatcher.laneStates {
      fails("\(dispatcher.laneStates) lanes are counted, \(laneStates) there")
    }
  }

  private func count(
    _ connection: ConnectionRef, _ state: ConnectionStates.State,
    _ states: inout ConnectionStates, _ laneStates: inout ConnectionStates
  ) {
    if writer.backlog(of: connection)?.lane == nil {
      states.move(from: nil, to: state)
    } else {
      laneStates.move(from: nil, to: state)
    }
  }

  func note(_ backlog: Backlog) {
    if backlog.own.bytes.count > OwnBytes.maximumCount { fails("a backlog has no bound") }
    if backlogs.last?.object === backlog || backlogs.contains(where: { $0.object === backlog }) {
      return
    }
    backlogs.removeAll { $0.object == nil }
    backlogs.append(WeakReference(object: backlog))
  }

  private func checkStreams() {
    defer { checkedMs = postgres.nowMs }
    excuseDroppedEphemerals()
    excuseWhoFallsBehind()
    for stream in dispatcher.registry.streams {
      excuseEphemerals(of: stream)
      let bound = 2 * limits.logBytes + 2 * StreamLog.largestChunk
      if stream.log.byteCount > bound { fails("a log has \(stream.log.byteCount) bytes") }
      if stream.late?.ranges.count ?? 0 > LateHoles.maximumRanges { fails("too many late ranges") }
      if stream.requestedPages.count > 2 * (clients.count + carriers.count) + 2 {
        fails("too many pages")
      }
      if stream.order.givenUp.count > 64 { fails("too many given up") }
    }
    let reminded = Set(dispatcher.reminded.map { ObjectIdentifier($0) })
    if reminded.count < dispatcher.reminded.count { fails("a stream is reminded of twice") }
  }

  /// One that waited for what was stored before it may find no room when its time comes.
  private func excuseDroppedEphemerals() {
    guard writer.statistics.droppedEphemerals > droppedEphemerals else { return }
    droppedEphemerals = writer.statistics.droppedEphemerals
    for ephemeral in ephemerals where ephemeral.lastMs >= checkedMs { ephemeral.owed = [] }
  }

  /// Whoever falls behind while one waits for its turn may find it gone from the log, as may anybody
  /// whose turn to be sent to comes after a small log was trimmed.
  private func excuseWhoFallsBehind() {
    let waiting = ephemerals.filter { $0.lastMs >= checkedMs && !$0.owed.isEmpty }
    for ephemeral in waiting { ephemeral.owed.formIntersection(receptive(to: ephemeral.queue)) }
    for stream in dispatcher.registry.streams where stream.log.floor > 0 {
      guard let queue = postgres.queue(stream.store, stream.storageName),
        queue.seenFloor != stream.log.floor
      else { continue }
      queue.seenFloor = stream.log.floor
      for ephemeral in ephemerals
      where ephemeral.queue === queue && ephemeral.lastMs >= postgres.nowMs - 2_000 {
        ephemeral.owed = []
      }
    }
  }

  /// What was in a log when the stream began anew, and was not stored, is lost with it.
  private func excuseEphemerals(of stream: Stream) {
    guard let queue = postgres.queue(stream.store, stream.storageName) else { return }
    let isAnother = queue.seenIdentity != stream.identity || queue.seenTip > stream.log.tip
    (queue.seenIdentity, queue.seenTip) = (stream.identity, stream.log.tip)
    for ephemeral in ephemerals where isAnother && ephemeral.queue === queue {
      ephemeral.owed = []
    }
  }

  /// Everybody leaves, and nothing is left of anything.
  func end() {
    isEnding = true
    for client in peers { writer.close(client.connection, .requested) }
    // With a log of a kilobyte, what nobody reads any more comes in reads of one or two messages.
    for _ in 0..<400 where violation == nil {
      calm(ticks: 6)
      streams.removeAll { $0.object == nil }
      if isEmpty { break }
    }
    check()
    if writer.table.count != 0 { fails("\(writer.table.count) slots are in use") }
    if !dispatcher.registry.streams.isEmpty { fails("streams are left") }
    if streams.contains(where: { $0.object != nil }) { fails("something holds a stream") }
    if backlogs.contains(where: { $0.object != nil }) { fails("something holds a backlog") }
    if listens.channels != [NativeSchema.channel] { fails("listens to \(listens.channels)") }
    if !dispatcher.patterns.isEmpty { fails("patterns are followed") }
    if writer.laneCount + writer.carrierCount != 0 { fails("lanes are counted") }
    if dispatcher.turns.hasMore || dispatcher.fanOut.hasMore { fails("something is queued") }
  }

  private var isEmpty: Bool {
    streams.isEmpty && dispatcher.registry.streams.isEmpty && dispatcher.reminded.isEmpty
      && listens.openCount == 0
      && reads.openCount == 0 && listens.channels == [NativeSchema.channel]
  }
}
