/// What an instance needs to know. Times are milliseconds.
public struct Configuration: Sendable {
  /// The reading session: a libpq connection string or URL; empty: what libpq finds in its environment.
  /// It may go through a pooler.
  public var database = ""
  /// The LISTEN session, straight to the primary; nil: as `database`.
  public var listenDatabase: String?
  /// Which of the stores in Postgres are served; none: there are no sessions.
  public var stores: Set<StoreKind> = StoreKind.inPostgres
  /// What stands before a stream's name in the name of its PGMQ queue. An endpoint in front of it has to
  /// have the same (``EndpointConfiguration/queuePrefix``).
  public var queuePrefix = "pgbus"

  /// A comment goes out on every connection that often.
  public var heartbeatMs: Int64 = 15_000
  /// A connection without a broadcast for so long is closed; 0: never.
  public var idleTimeoutMs: Int64 = 3_600_000
  /// A client that takes none of the bytes due to it for so long is dropped.
  public var writeDeadlineMs: Int64 = 5_000
  /// A client that is behind has to take so many bytes a second, over the write deadline; 0: any
  /// progress will do.
  public var minimumRateBytesPerSecond: Int64 = 64
  /// An idle Postgres session is asked for a sign of life that often.
  public var healthCheckMs: Int64 = 5_000
  /// A stream with subscribers is looked at that often though nothing woke it; 0: never.
  public var safetyPollMs: Int64 = 5_000
  /// Where ids become visible out of order (PGMQ), messages are held back for so long at most while a
  /// transaction is open that may commit one below them.
  public var holeWaitMs: Int64 = 10_000
  /// What browsers are told to wait before they reconnect; each gets its own, up to half more or less.
  public var retryMs: Int64 = 2_000

  /// How many connections there may be at once.
  public var maxConnections = 10_000
  /// How many bytes of frames each stream keeps in memory.
  public var logBytes = 256 * 1024

  /// Streams whose names fit one of these tell those who are on them who else is; `*` stands for any run of
  /// bytes. Needs pgbus's table of members, or the native schema.
  public var presencePatterns: [String] = []
  /// A member whose last connection has ended, and who comes back within that, has never left.
  public var presenceGraceMs: Int64 = 5_000
  /// Whether rows are written for pgbus's dashboard, of its streams.
  public var writesStatistics = false

  /// Whether the end of each connection, and each request that is refused, is logged, at most 50 of each a
  /// second.
  public var logsConnectionEnds = false

  /// The defaults, with no database.
  public init() {}
}
