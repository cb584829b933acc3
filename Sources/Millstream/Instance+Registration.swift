/// How connections come in.
extension Instance {
  /// How many connections there are.
  public var connectionCount: Int { parts.writer.table.count - parts.writer.laneCount }

  /// Whether another connection is allowed. ``register(_:for:context:)`` does not ask.
  public var hasRoom: Bool { hasRoom(forLanes: 0) }

  /// Whether another connection is allowed that carries so many streams.
  func hasRoom(forLanes count: Int) -> Bool {
    connectionCount < configuration.maxConnections
      && parts.writer.laneCount + count <= Instance.lanes(of: configuration)
  }

  /// On average, so many streams on a connection are allowed.
  private static let lanesOfConnection = 16

  /// How many streams all connections that carry several may have together.
  static func lanes(of configuration: Configuration) -> Int {
    let connections = min(configuration.maxConnections, Int.max / (2 * lanesOfConnection))
    return connections * lanesOfConnection + CursorVector.maximumStreams
  }

  /// Takes over a client's connected, nonblocking socket that asks for `subscription`.
  ///
  /// Before `start` and after `shutdown` it is closed at once rather than stranded. `context`: what is
  /// known of the client. Ask ``hasRoom`` before; the store has to be one that it ``serves(_:)``.
  public func register(
    _ descriptor: Int32, for subscription: Subscription, context: ConnectionContext? = nil
  ) -> Registration {
    register(descriptor, for: subscription, context: context, nil)
  }

  /// The same; `arrival`: how the client has come, if it came by an endpoint.
  func register(
    _ descriptor: Int32, for subscription: Subscription, context: ConnectionContext?,
    _ arrival: Arrival?
  ) -> Registration {
    guard isRunning else {
      parts.writer.refuse(descriptor)
      return .dead
    }
    let connection = parts.writer.adopt(descriptor, arrival)
    if let context { parts.writer.setContext(context, of: connection) }
    let backlog = parts.writer.ensureBacklog(of: connection)
    backlog.opening = Backlog.Opening(
      head: subscription.head, name: subscription.name, cursor: subscription.cursor,
      retryMs: jittered(configuration.retryMs))
    let stream = parts.dispatcher.stream(
      subscription.store, subscription.storageName, name: subscription.name,
      channels: subscription.channels)
    parts.dispatcher.subscribe(connection, to: stream)
    return .registered(connection.pointee.id)
  }

  /// The same for one that asks for several streams.
  func register(
    _ descriptor: Int32, for set: SubscriptionSet, _ arrival: Arrival
  ) -> Registration {
    guard isRunning else {
      parts.writer.refuse(descriptor)
      return .dead
    }
    let opening = Carrier.Opening(
      head: set.head, retryMs: jittered(configuration.retryMs), entries: set.entries)
    let carrier = parts.writer.makeCarrier(
      parts.writer.adopt(descriptor, arrival), opening, set.context)
    parts.dispatcher.take(carrier, set)
    return .registered(carrier.connection.pointee.id)
  }

  /// Clients that were cut off together shall not come back together.
  func jittered(_ retryMs: Int64) -> Int64 {
    retryMs / 2 + Int64.random(in: 0...max(retryMs, 0))
  }
}
