/// What a host sees of an instance's connections, and does to them. Everything on the loop's thread.
extension Instance {
  // MARK: Hooks, to be set before the start

  /// Sets who sees messages with `visibleTo`: `predicate` says whether a connection may see what carries the
  /// label. Without it, the labels of the connection's context count.
  public func setAudience(_ predicate: @escaping AudiencePredicate) {
    parts.writer.audience = predicate
  }

  /// Keeps, drops or replaces each message on its way to clients.
  public func setFilter(_ filter: MessageFilter) {
    parts.dispatcher.filter = filter
  }

  /// Called when the opening of a connection is on its way: from here on it can be sent to. A further call
  /// replaces the body.
  public func onConnected(_ body: @escaping (ConnectionInfo) -> Void) {
    parts.dispatcher.opened = { [unowned self] in
      if let info = info($0) { body(info) }
    }
  }

  /// Called when a connection has ended for which `onConnected` was; its descriptor is about to be closed.
  /// A further call replaces the body.
  public func onDisconnected(_ body: @escaping (ConnectionInfo, CloseReason) -> Void) {
    parts.dispatcher.left = { [unowned self] connection in
      let lane = parts.writer.backlog(of: connection)?.lane
      guard connection.pointee.wasOpened, lane?.carrier.isOpen ?? true, let info = info(connection)
      else { return }
      body(info, connection.pointee.closeReason)
    }
  }

  // MARK: Looking

  /// The connection of this name; nil: there is none (any more).
  public func connection(_ id: ConnectionID) -> ConnectionInfo? {
    parts.writer.table.connection(named: id).flatMap(info)
  }

  /// Calls `body` for every connection until it returns false; for one that carries several streams, once for
  /// each of them. It may close connections.
  public func forEachConnection(_ body: (ConnectionInfo) -> Bool) {
    for slot in 0..<parts.writer.table.slotCount {
      guard let connection = parts.writer.table.connection(slot),
        connection.pointee.phase != .closing, connection.pointee.stream != nil,
        let info = info(connection)
      else { continue }
      if !body(info) { return }
    }
  }

  /// How many connections a stream has.
  public func connectionCount(of stream: StreamIdentity) -> Int {
    self.stream(stream)?.subscriberCount ?? 0
  }

  /// How many streams are known: those with connections, and those that just had some.
  public var streamCount: Int { parts.dispatcher.registry.streams.count }

  // MARK: Sending

  /// Sends a message to whoever is connected to a stream of this instance now, and keeps it nowhere.
  /// Its id counts for nothing. If nobody is connected, or the instance does not run, nothing happens.
  public func publish(_ message: StreamMessage, to stream: StreamIdentity) {
    guard isRunning, let stream = self.stream(stream) else { return }
    var message = message
    message.id = nil
    parts.dispatcher.deliver(message, to: stream, epoch: nil)
  }

  /// Sends a message to one connection; false: there is none of this name, or it is not open yet.
  @discardableResult
  public func send(_ message: StreamMessage, to id: ConnectionID) -> Bool {
    guard let connection = parts.writer.table.connection(named: id), connection.pointee.wasOpened,
      connection.pointee.phase != .closing
    else { return false }
    parts.writer.sendOwn(FrameWriter.frame(of: message), to: connection)
    return true
  }

  /// The source has something new in this stream. Without subscribers, nothing happens.
  public func notify(_ name: String) {
    guard isRunning, let stream = stream(StreamIdentity(store: .host, name: name)) else { return }
    parts.dispatcher.wake(stream)
  }

  // MARK: Closing

  /// Closes one connection, with all that it carries; false: there is none of this name.
  ///
  /// As with the other ways to close, the client first gets `event: millstream:closed` with `reason` (nil:
  /// `closed`; of more than 512 bytes the rest is left out), and that is soon, not at once: in slices, before
  /// the loop sleeps. One that takes nothing goes within seconds. It may come back: to keep it out is up to
  /// who lets clients in.
  @discardableResult
  public func close(_ id: ConnectionID, reason: String? = nil) -> Bool {
    guard let connection = parts.writer.table.connection(named: id),
      connection.pointee.phase != .closing
    else { return false }
    closing.add(id, reason: reason)
    return true
  }

  /// Closes all connections of a stream. One that carries others, too, ends for this stream alone.
  public func close(_ stream: StreamIdentity, reason: String? = nil) {
    guard let name = storageName(of: stream) else { return }
    remember(.stream(stream.store, storageName: name))
    if let stream = self.stream(stream) { closing.add(stream, reason: reason) }
  }

  /// Closes all connections of a member.
  public func close(member: String, reason: String? = nil) {
    remember(.member(Array(member.utf8)))
    closing.add(member: member, reason: reason)
  }

  private func remember(_ target: RecentCloses.Target) {
    closing.recent.add(target, nowMs: parts.writer.clock.monotonicMs)
  }

  /// Closes what is meant.
  package func close(_ target: CloseTarget, reason: String?) {
    switch target {
    case .connection(let id): close(id, reason: reason)
    case .member(let member): close(member: member, reason: reason)
    case .stream(let stream): close(stream, reason: reason)
    }
  }

  // MARK: Finding

  func stream(_ identity: StreamIdentity) -> Stream? {
    guard let name = storageName(of: identity) else { return nil }
    return name.withUnsafeBytes { parts.dispatcher.registry.stream(identity.store, $0) }
  }

  private func storageName(of stream: StreamIdentity) -> [UInt8]? {
    if stream.store != .pgmq { return Array(stream.name.utf8) }
    return QueueName(stream: stream.name, prefix: configuration.queuePrefix).map {
      Array($0.tableSuffix.utf8)
    }
  }

  private func info(_ connection: ConnectionRef) -> ConnectionInfo? {
    let carrier = parts.writer.backlog(of: connection)?.carrier
    let stream = connection.pointee.stream ?? carrier?.lanes.first?.connection.pointee.stream
    guard let stream = stream?.takeUnretainedValue() else { return nil }
    return ConnectionInfo(
      id: connection.pointee.id, stream: stream.publicIdentity,
      context: parts.writer.contexts[connection.pointee.id],
      isBlocked: connection.pointee.isBlocked)
  }
}
