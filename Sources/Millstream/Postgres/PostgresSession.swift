import CLibPQ
import Glibc
import Logging

/// One session with Postgres: connects, reconnects, and answers queries in pipeline mode, without
/// ever stopping the loop. `SessionMachine` decides; this class does.
///
/// Not final, so that a simulated server can stand in for it.
class PostgresSession {
  /// What a session tells its owner.
  struct Events {
    /// It is connected to a primary; nothing that was asked before will be answered.
    var ready: () -> Void = {}
    /// It broke. Every open query has been told.
    var lost: () -> Void = {}
    /// A notification came: channel and payload, valid during the call.
    var notified: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void = { _, _ in }
  }

  /// The time limits of a session, in milliseconds.
  struct Limits {
    /// Name look-up and log-in together.
    var connectMs: Int64 = 10_000
    /// From asking to the end of the answer.
    var answerMs: Int64 = 30_000
    /// An idle session is asked for a sign of life that often.
    var healthCheckMs: Int64 = 5_000
    /// From asking for it to its coming.
    var signOfLifeMs: Int64 { max(healthCheckMs, 1_000) }
  }

  let name: String
  var events = Events()
  private(set) var serverVersion: Int32 = 0
  /// The server's timeline: another one after a standby was promoted, or a backup restored. Empty where
  /// the server does not say.
  private(set) var timeline = ""
  /// When that was asked last, in milliseconds of the monotonic clock.
  private var checkedAtMs: Int64 = 0

  private let loop: EventLoop
  private let logger: Logger
  private let limits: Limits
  private let settings: ConnectionString
  var machine = SessionMachine()
  var connection: OpaquePointer?
  var open: [Query] = []
  var openHead = 0
  private var resolver: HostResolver?
  /// What was warned of since the session was last ready.
  private var warned: Set<Trouble> = []
  /// How many times it has become ready, and how many attempts or sessions have failed.
  private(set) var timesReady: UInt64 = 0
  private(set) var timesFailed: UInt64 = 0
  /// How many queries were sent.
  private(set) var queryCount: UInt64 = 0
  /// Why it is not ready; nil: it is, or has not failed yet.
  private(set) var lastFailure: String?
  lazy var watcher = IOWatcher(loop: loop) { [unowned self] in socketReady($0) }
  private lazy var retryTimer = TimerWatcher(loop: loop) { [unowned self] in
    perform(machine.backoffEnded())
  }
  /// Runs while something is due: the log-in, or an answer. Otherwise it is the health check's.
  private lazy var deadline = TimerWatcher(loop: loop) { [unowned self] in deadlinePassed() }

  init(
    name: String, loop: EventLoop, settings: ConnectionString, limits: Limits, logger: Logger
  ) {
    self.name = name
    self.loop = loop
    self.limits = limits
    self.logger = logger
    var settings = settings
    settings.setDefault("application_name", "millstream \(name)")
    settings.set("client_encoding", "UTF8")
    // Of several hosts, or several addresses of one name, the primary is the one that we want.
    settings.setDefault("target_session_attrs", "primary")
    // A connection that is open and dead is found out by the kernel, too.
    settings.setDefault("keepalives_idle", "10")
    settings.setDefault("keepalives_interval", "5")
    settings.setDefault("keepalives_count", "3")
    settings.setDefault("tcp_user_timeout", "20000")
    self.settings = settings
  }

  deinit {
    if let connection { PQfinish(connection) }
  }

  var isReady: Bool { machine.isReady }
  /// Whether answers come soon, as far as is known: it is ready, or has not failed yet.
  var isExpected: Bool { machine.isReady || (machine.failures == 0 && !machine.isStopped) }
  var openQueries: Int { open.count - openHead }

  func start() {
    perform(machine.started())
  }

  /// Ends the session; open queries are told.
  func stop() {
    perform(machine.stopped())
  }

  // MARK: Asking

  /// Puts a query into the pipeline, as a transaction of its own unless more are to `follow` in it.
  /// `flush` sends it.
  func submit(_ query: Query, moreFollow: Bool = false) {
    guard let connection, machine.isConnected else { return query.failed(.sessionLost) }
    // A session that always has something to do is never idle: what server it is is asked in between.
    if openQueries == 0 && isCheckDue { checkAgain() }
    let isFirst = openQueries == 0
    let strings = query.parameters.map { $0.map { strdup($0) } ?? nil }
    defer { strings.forEach { free($0) } }
    let values = strings.map { UnsafePointer<CChar>($0) }
    let isSent = PQsendQueryParams(
      connection, query.sql, Int32(values.count), nil, values, nil, nil, 0)
    if isSent == 1 && end(connection, isFirst: isFirst, moreFollow: moreFollow) {
      open.append(query)
      queryCount += 1
      if isFirst && machine.isReady { setDeadline(isSignOfLifeDue: moreFollow) }
    } else {
      query.failed(.sessionLost)
    }
  }

  /// The first of a transaction's queries costs the server nothing, so its answer is asked for ahead
  /// of the others': a session that is open and dead is found out soon, though a question may take long.
  private func end(_ connection: OpaquePointer, isFirst: Bool, moreFollow: Bool) -> Bool {
    if !moreFollow { return PQpipelineSync(connection) == 1 }
    return !isFirst || PQsendFlushRequest(connection) == 1
  }

  /// Sends what was submitted.
  func flush() {
    guard let connection, machine.isReady || openQueries > 0 else { return }
    switch PQflush(connection) {
    case 0: watcher.watch(PQsocket(connection), for: .readable)
    case 1: watcher.watch(PQsocket(connection), for: [.readable, .writable])
    default: return fail(lastError)
    }
  }

  // MARK: What the machine wants

  private func perform(_ action: SessionMachine.Action) {
    switch action {
    case .none: break
    case .resolve: resolve()
    case .connect:
      resolvedSettings.rotateHosts(by: machine.failures)
      connect(resolvedSettings)
    case .waitReadable: watch(.readable)
    case .waitWritable: watch(.writable)
    case .check: check()
    case .announceReady: announceReady()
    case .retry(let delay):
      timesFailed += 1
      drop()
      retryTimer.fire(afterMs: delay)
    case .close:
      drop()
      retryTimer.stop()
    }
  }

  private var resolvedSettings: ConnectionString = ConnectionString.empty

  private func resolve() {
    resolvedSettings = settings
    deadline.fire(afterMs: limits.connectMs)
    let hosts = settings.hostsToResolve
    if hosts.isEmpty { return perform(machine.resolved()) }
    resolver = HostResolver(loop: loop, hosts: hosts) { [unowned self] in hostsResolved($0) }
    if resolver == nil { fail("cannot look up \(hosts.joined(separator: ", "))") }
  }

  private func hostsResolved(_ addresses: [[String]]) {
    resolver = nil
    guard addresses.count == settings.hostsToResolve.count,
      addresses.contains(where: { !$0.isEmpty })
    else { return fail("no address for \(settings["host"] ?? "the host")") }
    resolvedSettings.setAddresses(addresses)
    perform(machine.resolved())
  }

  private func connect(_ settings: ConnectionString) {
    connection = settings.withParameters { PQconnectStartParams($0, $1, 0) }
    guard let connection, PQstatus(connection) != CONNECTION_BAD else { return fail(lastError) }
    // libpq says: behave as if PQconnectPoll had said that it waits to write.
    watch(.writable)
  }

  /// The socket can change between two polls (another address, TLS given up): it is asked each time.
  private func watch(_ events: IOEvents) {
    guard let connection, PQsocket(connection) >= 0 else { return fail(lastError) }
    watcher.stop()
    watcher.watch(PQsocket(connection), for: events)
  }

  func poll() {
    guard let connection else { return }
    // libpq closes and opens sockets in here: libev must not hold on to the old one.
    watcher.stop()
    let result: SessionMachine.PollResult
    switch PQconnectPoll(connection) {
    case PGRES_POLLING_READING: result = .reading
    case PGRES_POLLING_WRITING: result = .writing
    case PGRES_POLLING_OK: result = .ok
    default: return fail(lastError)
    }
    perform(machine.polled(result))
  }

  private func check() {
    guard let connection, PQsetnonblocking(connection, 1) == 0, PQenterPipelineMode(connection) == 1
    else { return fail(lastError) }
    PQsetNoticeProcessor(
      connection, noticeCame, Unmanaged.passUnretained(self).toOpaque())
    serverVersion = PQserverVersion(connection)
    askWhatServer { [unowned self] in answered($0, $1) }
    flush()
  }

  private func askWhatServer(_ answered: @escaping (_ isPrimary: Bool, _ timeline: String) -> Void)
  {
    let timeline = TimelineQuery()
    submit(timeline)
    submit(PrimaryCheck { answered($0, timeline.timeline) })
  }

  private func answered(_ isPrimary: Bool, _ timeline: String) {
    if !isPrimary {
      log("is a standby, which sends no notifications; looking for the primary", .standby)
    }
    self.timeline = timeline
    checkedAtMs = Clock.system.monotonicMs
    perform(machine.checked(isPrimary: isPrimary))
  }

  private func announceReady() {
    logger.info("postgres session is ready", metadata: ["session": "\(name)"])
    warned = []
    timesReady += 1
    lastFailure = nil
    setDeadline()
    events.ready()
    flush()
  }

  // MARK: Failing

  var lastError: String {
    connection.map { String(cString: PQerrorMessage($0)).trimmed } ?? "out of memory"
  }

  func fail(_ reason: String) { fail(reason, .away) }

  private func fail(_ reason: String, _ trouble: Trouble) {
    if machine.isStopped { return }
    log(reason.isEmpty ? "the connection broke" : reason, trouble)
    perform(machine.failed())
  }

  /// A server that is a standby is somebody's to change, also where it was away at first.
  private enum Trouble { case away, standby }

  /// The first failure of a row is a warning, of each kind; the rest would only fill the log.
  private func log(_ reason: String, _ trouble: Trouble) {
    let reason = reason.split(separator: "\n").joined(separator: "; ")
    lastFailure = reason
    let metadata: Logger.Metadata = [
      "session": "\(name)", "attempt": "\(machine.failures + 1)", "reason": "\(reason)",
    ]
    let isFirst = warned.insert(trouble).inserted
    logger.log(
      level: isFirst ? .warning : .debug, "postgres is away; trying again until it comes",
      metadata: metadata)
  }

  private func drop() {
    watcher.stop()
    deadline.stop()
    resolver = nil
    if let connection { PQfinish(connection) }
    connection = nil
    let unanswered = open[openHead...]
    open = []
    openHead = 0
    for query in unanswered { query.failed(.sessionLost) }
    events.lost()
  }

  private func deadlinePassed() {
    if !machine.isReady { return fail("no log-in within \(limits.connectMs) ms") }
    if openQueries > 0 { return fail("no answer within the time limit") }
    checkAgain()
    flush()
  }

  private var isCheckDue: Bool {
    machine.isReady && Clock.system.monotonicMs - checkedAtMs >= limits.healthCheckMs
  }

  /// Behind a pooler it may have become another server's session without a break.
  private func checkAgain() {
    checkedAtMs = Clock.system.monotonicMs
    askWhatServer { [unowned self] isPrimary, timeline in
      if !isPrimary { return fail("became a session with a standby", .standby) }
      if timeline != self.timeline { fail("became a session with another primary") }
    }
    setDeadline(isSignOfLifeDue: true)
  }

  /// - Parameter isSignOfLifeDue: the server has nothing to do before its next answer.
  func setDeadline(isSignOfLifeDue: Bool = false) {
    if openQueries == 0 { return deadline.fire(afterMs: limits.healthCheckMs) }
    deadline.fire(afterMs: isSignOfLifeDue ? limits.signOfLifeMs : limits.answerMs)
  }

  fileprivate func noticeReceived(_ text: String) {
    logger.notice(
      "postgres says", metadata: ["session": "\(name)", "notice": "\(text.trimmed)"])
  }
}

private func noticeCame(_ session: UnsafeMutableRawPointer?, _ text: UnsafePointer<CChar>?) {
  guard let session, let text else { return }
  Unmanaged<PostgresSession>.fromOpaque(session).takeUnretainedValue()
    .noticeReceived(String(cString: text))
}
