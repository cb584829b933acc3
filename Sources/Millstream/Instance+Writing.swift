import Logging

/// What an instance writes: who is on its streams, and statistics. Most write nothing, and have no session
/// for it.
extension Instance {
  private var presence: Presence? { parts.dispatcher.presence }
  private var streamStatistics: StreamStatistics? { parts.dispatcher.streamStatistics }

  /// Connects the session, if there is one.
  func startWriting() {
    guard let session = parts.writes else { return }
    session.events.ready = { [unowned self] in presence?.sessionReady() }
    session.events.lost = { [unowned self] in presence?.sessionLost() }
    if presence != nil { parts.listener.add(PresenceSQL.channel) }
    session.start()
  }

  /// Called by the timer.
  func writeOut(nowMs: Int64) {
    presence?.tick(nowMs)
    streamStatistics?.tick(nowMs)
  }

  /// Whether what is left to say was said, once there is no connection any more; the first call says that it
  /// is to be.
  func lastWordsAreSaid() -> Bool {
    guard let session = parts.writes, session.isReady else { return true }
    let nowMs = parts.writer.clock.monotonicMs
    guard let endMs = lastWordsEndMs else {
      lastWordsEndMs = nowMs + WriteSettings.lastWordsMs
      presence?.end()
      streamStatistics?.writeOut()
      return presence?.isOver ?? true && streamStatistics?.isOver ?? true
    }
    // As soon as there is room on the session: in a second there would be time for too few.
    streamStatistics?.writeOut()
    return nowMs >= endMs || (presence?.isOver ?? true && streamStatistics?.isOver ?? true)
  }
}

extension Instance.Parts {
  /// Has written what `configuration` asks for.
  mutating func addWriting(
    _ configuration: Configuration, on loop: EventLoop, _ logger: Logger
  ) throws(ConfigurationError) {
    let stores = configuration.stores.intersection(StoreKind.inPostgres)
    let hasPresence = !configuration.presencePatterns.isEmpty && !stores.isEmpty
    let hasStatistics = configuration.writesStatistics && stores.contains(.pgmq)
    guard hasPresence || hasStatistics else { return }
    let session = PostgresSession(
      name: "write", loop: loop, settings: try ConnectionString(configuration.database),
      limits: PostgresSession.Limits(healthCheckMs: configuration.healthCheckMs), logger: logger)
    writes = session
    if hasPresence {
      dispatcher.presence = Presence(
        session: session, writer: writer, stores: stores,
        settings: Presence.Settings(
          patterns: configuration.presencePatterns, graceMs: configuration.presenceGraceMs,
          heartbeatMs: configuration.heartbeatMs, queuePrefix: configuration.queuePrefix),
        logger: logger)
    }
    if hasStatistics {
      dispatcher.streamStatistics = StreamStatistics(
        session: session, writer: writer, logger: logger)
    }
  }
}
