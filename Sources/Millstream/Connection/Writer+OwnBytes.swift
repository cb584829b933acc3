/// Bytes that are for one connection only: control frames, and the rest of frames that were begun.
extension Writer {
  /// Sends bytes that are for this connection only: at once, or behind what it still has to take.
  func sendOwn(_ bytes: [UInt8], to connection: ConnectionRef) {
    if let lane = backlog(of: connection)?.lane { return sendOwn(bytes, on: lane) }
    guard connection.pointee.phase != .closing, backlog(of: connection)?.isLast != true
    else { return }
    detachBegunFrame(of: connection)
    let kept = bytes.withUnsafeBytes { ensureBacklog(of: connection).own.append($0) }
    guard kept else { return close(connection, .overtaken) }
    if !connection.pointee.isBlocked { pump(connection) }
  }

  /// The same for several frames, where that can be with one send for all.
  func sendOwn(_ frames: [[UInt8]], to connection: ConnectionRef) {
    if backlog(of: connection)?.lane == nil {
      return sendOwn(Array(frames.joined()), to: connection)
    }
    // Each has an `id:` of its own, which may be long.
    for frame in frames { sendOwn(frame, to: connection) }
  }

  /// Makes what is left of a frame that was sent in part the connection's own, so that other bytes
  /// can follow it, or its chunk can go from the log.
  func detachBegunFrame(of connection: ConnectionRef) {
    if let backlog = backlog(of: connection), backlog.isPartOfCarrier {
      return detachBegunFrame(ofPart: backlog)
    }
    guard connection.pointee.isBlocked, let (chunk, rest) = begunFrame(of: connection)
    else { return }
    ensureBacklog(of: connection).own.append(rest, of: chunk)
    move(connection, by: rest.count)
  }

  /// The connection has had so many more bytes of its page, or of the log.
  func move(_ connection: ConnectionRef, by count: Int) {
    if connection.pointee.phase == .live {
      connection.pointee.position += UInt64(count)
    } else {
      backlog(of: connection)?.pageOffset += count
    }
  }

  /// The frame that a connection is in the middle of.
  func begunFrame(of connection: ConnectionRef) -> (chunk: Chunk, rest: Range<Int>)? {
    let place: (chunk: Chunk, offset: Int)
    if connection.pointee.phase == .live {
      guard let stream = connection.pointee.stream?.takeUnretainedValue(),
        connection.pointee.position < stream.log.end
      else { return nil }
      let chunk = stream.log.chunk(at: connection.pointee.position)
      place = (chunk, Int(connection.pointee.position - chunk.start))
    } else {
      guard let backlog = backlog(of: connection), let page = backlog.page,
        backlog.pageOffset < page.count
      else { return nil }
      place = (page, backlog.pageOffset)
    }
    let index = place.chunk.index(at: place.offset)
    if place.chunk.entries[index].offset == place.offset { return nil }
    return (place.chunk, place.offset..<place.chunk.frameEnd(index))
  }

  /// A comment, to those who have taken everything so far; to the others it would say nothing.
  func sendHeartbeat(_ bytes: UnsafeRawBufferPointer, to connection: ConnectionRef) {
    guard !connection.pointee.isBlocked else { return }
    switch calls.send(connection.pointee.descriptor, bytes.baseAddress!, bytes.count) {
    case .transferred(let count) where count == bytes.count: break
    case .transferred(let count):
      _ = ensureBacklog(of: connection).own.append(
        UnsafeRawBufferPointer(rebasing: bytes[count...]))
      block(connection, hasMoved: true)
    case .wouldBlock: block(connection, hasMoved: false)
    case .closed: close(connection, .clientGone)
    case .timedOut: close(connection, .timedOut)
    }
  }

  func backlog(of connection: ConnectionRef) -> Backlog? {
    connection.pointee.backlog?.takeUnretainedValue()
  }

  func ensureBacklog(of connection: ConnectionRef) -> Backlog {
    if let backlog = backlog(of: connection) { return backlog }
    let backlog = Backlog()
    connection.pointee.backlog = Unmanaged.passRetained(backlog)
    return backlog
  }

  func dropBacklog(of connection: ConnectionRef) {
    connection.pointee.backlog?.release()
    connection.pointee.backlog = nil
  }
}
