/// Ends that are told: the connection, or one of its streams, is over, and the client hears why.
extension Writer {
  /// Tells a connection `frame`, behind what was due to it up to now, and closes it. One whose socket is full
  /// is told when it has taken the frame that it has half of, and has `withinMs` milliseconds for that, to
  /// the second. One that was told already is left to its end. One that is not open yet gets the head of the
  /// response before: a proxy in front would make an error of an end without one, after which no browser
  /// comes back by itself.
  func dismiss(
    _ connection: ConnectionRef, _ frame: [UInt8], _ reason: CloseReason, withinMs: Int64
  ) {
    guard ![.free, .closing].contains(connection.pointee.phase),
      backlog(of: connection)?.isLast != true
    else { return }
    if !connection.pointee.isBlocked { pump(connection) }
    guard connection.pointee.phase != .closing else { return }
    detachBegunFrame(of: connection)
    let backlog = ensureBacklog(of: connection)
    let lastWords = headDue(to: connection) + frame
    guard lastWords.withUnsafeBytes({ backlog.own.append($0) }) else {
      return close(connection, reason)
    }
    backlog.endReason = reason
    // A blocked one is looked at again when its time is over.
    let end = clock.unixSeconds + withinMs / 1000 + 1
    expiries.add(connection.pointee.id, at: end) { [table] in table.connection(named: $0) != nil }
    if !connection.pointee.isBlocked { pump(connection) }
  }

  /// The head of the response, of one that is not open yet.
  private func headDue(to connection: ConnectionRef) -> [UInt8] {
    guard connection.pointee.phase == .opening, let backlog = backlog(of: connection)
    else { return [] }
    return backlog.opening?.head ?? backlog.carrier?.opening.head ?? []
  }

  /// Ends one stream of a connection that carries several: the client is told `frame`, with an `id:` that
  /// names the stream, and the others go on. With the last of them the connection ends. One that is not open
  /// yet ends as a whole, and is not told, for nothing was said of its streams: it comes back for the others.
  func dismiss(_ lane: Lane, _ frame: [UInt8], _ reason: CloseReason, withinMs: Int64) {
    let carrier = lane.carrier
    guard carrier.isOpen else {
      return dismiss(carrier.connection, [], reason, withinMs: withinMs)
    }
    if backlog(of: carrier.connection)?.isLast == true { return }
    if !carrier.connection.pointee.isBlocked { pump(carrier.connection) }
    guard carrier.connection.pointee.phase != .closing else { return }
    // The rest of a frame of its own has to go before the lane does.
    detachBegunFrame(of: carrier.connection)
    var bytes: [UInt8] = []
    carrier.appendID(of: lane, nil, to: &bytes)
    bytes += frame
    if carrier.carriesOnly(lane) {
      return dismiss(carrier.connection, bytes, reason, withinMs: withinMs)
    }
    carrier.remove(lane)
    end(lane.connection, reason)
    sendOwn(bytes, to: carrier.connection)
  }
}
