import CLibEv

/// What the loop says of the clients' sockets: which are full, which can take more, which have gone.
extension Writer {
  func startWatching(_ connection: ConnectionRef, _ descriptor: Int32) {
    let watcher = self.watcher(of: connection)
    ms_io_init(watcher, connectionReady, descriptor, IOEvents.readable.rawValue)
    watcher.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    ev_io_start(loop.raw, watcher)
  }

  /// The descriptor may be closed after it.
  func stopWatching(_ connection: ConnectionRef) {
    ev_io_stop(loop.raw, watcher(of: connection))
  }

  private func setEvents(of connection: ConnectionRef, _ events: IOEvents) {
    let watcher = self.watcher(of: connection)
    if watcher.pointee.events & 3 == events.rawValue { return }
    ev_io_stop(loop.raw, watcher)
    ms_io_modify(watcher, events.rawValue)
    ev_io_start(loop.raw, watcher)
  }

  private func watcher(of connection: ConnectionRef) -> UnsafeMutablePointer<ev_io> {
    UnsafeMutableRawPointer(connection).assumingMemoryBound(to: ev_io.self)
  }

  // MARK: Full sockets

  /// Whoever took nothing keeps its place in the queue, and with it the time of its next look.
  func block(_ connection: ConnectionRef, hasMoved: Bool) {
    guard connection.pointee.phase != .closing else { return }
    if connection.pointee.isBlocked { return hasMoved ? look(at: connection) : () }
    let heldBytes = calls.heldBytes(connection.pointee.descriptor)
    blocked.append(connection, Pace(nowMs: clock.monotonicMs, heldBytes: heldBytes))
    setEvents(of: connection, [.readable, .writable])
  }

  func unblock(_ connection: ConnectionRef) {
    dropSpentBacklog(of: connection)
    guard connection.pointee.isBlocked else { return }
    blocked.remove(connection)
    setEvents(of: connection, .readable)
  }

  /// A live connection keeps its backlog only while frames have to be held back from it.
  private func dropSpentBacklog(of connection: ConnectionRef) {
    guard connection.pointee.phase == .live, let backlog = backlog(of: connection),
      !backlog.isPartOfCarrier
    else { return }
    let tip = connection.pointee.stream?._withUnsafeGuaranteedRef { $0.log.tip } ?? 0
    let hasJoined = connection.pointee.position >= backlog.joinedAt && backlog.cursor <= tip
    if hasJoined && backlog.own.isEmpty { dropBacklog(of: connection) }
  }

  // MARK: Events

  fileprivate func socketReady(_ connection: ConnectionRef, _ events: IOEvents) {
    guard connection.pointee.phase != .closing else { return }
    if events.contains(.readable) { readAndForget(connection) }
    if events.contains(.writable) { pump(connection) }
  }

  /// An event stream's client has nothing to say: whatever it sends is dropped, until it hangs up.
  private func readAndForget(_ connection: ConnectionRef) {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { buffer in
      let outcome = calls.receive(connection.pointee.descriptor, into: buffer)
      if outcome == .closed { close(connection, .clientGone) }
      if outcome == .timedOut { close(connection, .timedOut) }
    }
  }
}

private func connectionReady(
  _: OpaquePointer?, _ watcher: UnsafeMutablePointer<ev_io>?, _ events: Int32
) {
  guard let watcher, let data = watcher.pointee.data else { return }
  let connection = UnsafeMutableRawPointer(watcher).assumingMemoryBound(to: Connection.self)
  Unmanaged<Writer>.fromOpaque(data).takeUnretainedValue()
    .socketReady(connection, IOEvents(rawValue: events & 3))
}
