import Logging

extension Instance {
  /// The parts of an instance. Tests hand in their own.
  struct Parts {
    var listener: NotificationSource
    var reads: PostgresSession
    var stores: [MessageStore]
    var writer: Writer
    var dispatcher: Dispatcher
    var heartbeat: Heartbeat
    /// Nil: nothing is written.
    var writes: PostgresSession?
  }
}

extension Instance.Parts {
  init(
    loop: EventLoop, configuration: Configuration, source: MessageSource? = nil,
    hub: ListenerHub? = nil, logger: Logger, clock: Clock
  ) throws(ConfigurationError) {
    let limits = PostgresSession.Limits(healthCheckMs: configuration.healthCheckMs)
    let reads = PostgresSession(
      name: "read", loop: loop, settings: try ConnectionString(configuration.database),
      limits: limits, logger: logger)
    self.reads = reads
    listener =
      if let hub {
        hub.source(for: loop)
      } else {
        Listener(session: try .listening(configuration, on: loop, logger: logger))
      }
    stores =
      configuration.stores.intersection(StoreKind.inPostgres).map { kind -> MessageStore in
        kind == .pgmq ? PGMQStore(reads: reads) : NativeStore(reads: reads)
      } + (source.map { [HostStore(source: $0)] } ?? [])
    writer = Writer(loop: loop, clock: clock, calls: SystemCalls())
    writer.patience = Patience(
      deadlineMs: configuration.writeDeadlineMs,
      bytesPerSecond: configuration.minimumRateBytesPerSecond)
    dispatcher = Dispatcher(
      writer: writer, listener: listener, stores: stores,
      limits: Dispatcher.Limits(
        logBytes: configuration.logBytes, safetyPollMs: configuration.safetyPollMs,
        holeWaitMs: configuration.holeWaitMs, lanes: Instance.lanes(of: configuration)),
      logger: logger)
    if configuration.logsConnectionEnds { dispatcher.endLog = EndLog(logger: logger) }
    heartbeat = Heartbeat(loop: loop, writer: writer, configuration: configuration)
    try addWriting(configuration, on: loop, logger)
  }
}
