import Logging

/// The session that LISTENs: which channels, and that none is forgotten over a reconnect.
///
/// Channels are counted, because several streams can share one. Changes are collected until the loop
/// is about to sleep and go out together, in one transaction and one round trip. One such batch is
/// under way at a time: where Postgres is slower than streams come and go, what is put off has a bound,
/// and no answer is older than what was asked last.
final class Listener: NotificationSource {
  /// The session can be used: `listening` follows.
  var ready: () -> Void = {}

  let session: PostgresSession
  private var heard: Set<String> = []
  private var wanted: [String: Int] = [:]
  private var added: Set<String> = []
  private var removed: Set<String> = []
  private var isAsking = false

  init(session: PostgresSession) {
    self.session = session
    super.init()
    session.events.ready = { [unowned self] in sessionReady() }
    session.events.lost = { [unowned self] in sessionLost() }
    session.events.notified = { [unowned self] in notified($0, $1) }
  }

  override var ownSession: PostgresSession? { session }

  override var isExpected: Bool { session.isExpected }

  override func start() {
    session.start()
  }

  override func stop() {
    session.stop()
  }

  override func add(_ channel: String) {
    wanted[channel, default: 0] += 1
    if wanted[channel] == 1 && session.isReady { added.insert(channel) }
  }

  override func remove(_ channel: String) {
    guard let count = wanted[channel] else { return }
    wanted[channel] = count > 1 ? count - 1 : nil
    if count == 1 && session.isReady { removed.insert(channel) }
  }

  /// Sends what has changed since the last call.
  override func flush() {
    guard session.isReady, !isAsking, !(added.isEmpty && removed.isEmpty) else { return }
    let unlistened = removed.filter { wanted[$0] == nil && heard.contains($0) }
    let listened = added.filter { wanted[$0] != nil && !heard.contains($0) }
    added = []
    removed = []
    if unlistened.isEmpty && listened.isEmpty { return }
    submit(unlisten: Array(unlistened), listen: Array(listened))
  }

  /// Whether what is sent on all of `channels` from now on is heard.
  override func isListening(to channels: [String]) -> Bool {
    channels.allSatisfy(heard.contains)
  }

  private func sessionLost() {
    heard = []
    isAsking = false
    lost()
  }

  private func sessionReady() {
    added = []
    removed = []
    ready()
    submit(unlisten: [], listen: Array(wanted.keys))
  }

  /// A LISTEN counts from the end of its transaction; the last of the batch ends it.
  private func submit(unlisten: [String], listen: [String]) {
    for channel in unlisten {
      session.submit(Query(sql: "UNLISTEN \(Listener.quoted(channel))"), moreFollow: true)
    }
    for channel in listen {
      session.submit(Query(sql: "LISTEN \(Listener.quoted(channel))"), moreFollow: true)
    }
    heard.subtract(unlisten)
    isAsking = true
    let end = ListenEnd(
      reached: { [unowned self] in
        isAsking = false
        heard.formUnion(listen)
        listening(listen)
      },
      // Without its channels the session is of no use: a new one tries all of them again.
      refused: { [unowned self] in session.fail("LISTEN was refused: \($0)") })
    session.submit(end)
    session.flush()
  }

  private static func quoted(_ channel: String) -> String {
    "\""
      + channel.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
      + "\""
  }
}

extension PostgresSession {
  /// The session for a listener on `loop`.
  ///
  /// - Throws: what is wrong with the connection string.
  static func listening(
    _ configuration: Configuration, on loop: EventLoop, logger: Logger
  ) throws(ConfigurationError) -> PostgresSession {
    PostgresSession(
      name: "listen", loop: loop,
      settings: try ConnectionString(configuration.listenDatabase ?? configuration.database),
      limits: Limits(healthCheckMs: configuration.healthCheckMs), logger: logger)
  }
}

/// Ends a batch of LISTENs: when it is answered, they count.
private final class ListenEnd: Query {
  private let reached: () -> Void
  private let refused: (QueryFailure) -> Void

  init(reached: @escaping () -> Void, refused: @escaping (QueryFailure) -> Void) {
    self.reached = reached
    self.refused = refused
    super.init(sql: "SELECT 1")
  }

  override func finished() {
    reached()
  }

  override func failed(_ failure: QueryFailure) {
    if case .refused = failure { refused(failure) }
  }
}
