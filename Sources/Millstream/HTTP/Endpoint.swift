import CSystem
import Glibc
import Logging

/// How much of what can change under an answer has been heard.
struct EndpointChanges {
  var closes: UInt64 = 0
  var configurations = 0
}

/// Accepts connections, reads their requests, and hands those that are for a stream to the instance. Whoever
/// made it keeps it for as long as the loop runs.
public final class Endpoint {
  /// Asked first for every request; nil, or nil as the answer: it may be for a stream, and else is a 404.
  public var fallback: FallbackHandler?

  /// Asked for every stream; nil: whoever has a name that is in order may listen.
  public var authorize: AuthorizeHook?

  /// Whether `authorize` looks at ``AuthorizationQuestion/isPattern``. One that does not could take `room:1*`
  /// for the name of a room: then patterns that are no more than public are refused without asking.
  public var authorizesPatterns = false

  /// Whether keys can come that are not known yet, because these are being fetched: then who needs one
  /// waits for `tokenKeysCame`. Asked for each token whose key is not known.
  package var fetchesTokenKeys: () -> Bool = { false }

  /// Counts connections; set before `start`, where several endpoints have their limits together.
  package var counts: ConnectionCounts {
    get { gate.counts }
    set { gate.counts = newValue }
  }

  private(set) var router: Router
  private(set) var gate: Gate
  let clock: Clock
  private(set) var headTimeoutMs: Int64
  private let loop: EventLoop
  let instance: Instance
  private let logger: Logger
  private lazy var acceptor = Acceptor(
    loop: loop,
    hasRoom: { [unowned self] in exchanges.count < Endpoint.maximumExchanges },
    take: { [unowned self] in begin($0) },
    lacksDescriptor: { [unowned self] in warnOfDescriptors($0) })
  private var exchanges: [ObjectIdentifier: Exchange] = [:]
  private var finished: [Exchange] = []
  private lazy var options = ClientSocketOptions(
    writeDeadlineMs: instance.configuration.writeDeadlineMs,
    heartbeatMs: instance.configuration.heartbeatMs)
  private lazy var timer = TimerWatcher(loop: loop) { [unowned self] in tick() }
  private lazy var phases = LoopPhases(loop: loop) { [unowned self] in
    finished.removeAll()
    return false
  }
  private(set) var isTurningAway = false
  /// How often it was reconfigured.
  private var configurationCount = 0
  private var settling: (untilMs: Int64, done: () -> Void)?
  // Those that are over are taken out, so there are no more than there are exchanges.
  private var waitingForKeys: [ObjectIdentifier: (exchange: Exchange, head: RequestHead)] = [:]
  var waitingForKeysCount: Int { waitingForKeys.count }
  private var areTokenKeysAway = false
  private var nextDescriptorLineMs: Int64 = .min

  /// The longest head of a request, in bytes.
  public static let maximumHeadBytes = RequestParser.maximumHeadBytes
  /// How many requests may be on their way in beyond the connections that are allowed.
  private static let maximumExchanges = 4096
  /// When there are so many, those go that are not all here after so long: who opens connections and says nothing
  /// would keep everybody out until the time for requests is over.
  private static let patienceWhenFullMs: Int64 = 1_000
  private static let tickMs: Int64 = 100
  private static let linePauseMs: Int64 = 10_000

  /// An endpoint in front of `instance`; it listens from `start` on.
  public init(
    loop: EventLoop, instance: Instance, configuration: EndpointConfiguration, logger: Logger,
    clock: Clock = .system
  ) {
    self.loop = loop
    self.instance = instance
    self.logger = logger
    self.clock = clock
    headTimeoutMs = configuration.headTimeoutMs
    router = Router(configuration: configuration)
    gate = Gate(configuration, ConnectionCounts())
    rememberCloses()
  }

  /// Starts the timers, and takes connections from `sockets`. Call it also when clients come by `take` alone.
  public func start(on sockets: [ListeningSocket] = []) {
    timer.repeatFiring(everyMs: Endpoint.tickMs)
    _ = phases
    for socket in sockets { add(socket) }
  }

  /// Takes connections from one more socket.
  public func add(_ socket: ListeningSocket) {
    options.apply(to: socket.descriptor)
    acceptor.add(socket)
  }

  /// Takes secrets, keys, patterns, origins and limits that have changed; whoever is connected stays.
  package func reconfigure(_ configuration: EndpointConfiguration) {
    headTimeoutMs = configuration.headTimeoutMs
    router = Router(configuration: configuration)
    gate = Gate(configuration, counts)
    configurationCount += 1
    rememberCloses()
  }

  /// For as long as a client may wait for an answer.
  private func rememberCloses() {
    let recent = instance.closing.recent.keptMs
    instance.closing.recent.keptMs = max(recent, headTimeoutMs + Endpoint.tickMs)
  }

  /// From here on whoever comes is told to try again, which a load balancer makes another server's.
  package func turnAway() { isTurningAway = true }

  /// Takes no more connections, because another process does, at the same addresses. Those that the kernel
  /// has given to these sockets already are served as ever.
  package func handOver() { acceptor.finish() }

  /// `done` is called when every request that is here has its answer, or after so long: at once, if there is
  /// none.
  package func settle(withinMs: Int64, done: @escaping () -> Void) {
    settling = (clock.monotonicMs + withinMs, done)
    settleIfDone()
  }

  private func settleIfDone() {
    guard let settling,
      clock.monotonicMs >= settling.untilMs || exchanges.values.allSatisfy(\.isAnswered)
    else { return }
    self.settling = nil
    settling.done()
  }

  /// No more connections; requests that are on their way in are dropped.
  public func stop() {
    acceptor.stop()
    timer.stop()
    for exchange in exchanges.values { exchange.drop() }
  }

  /// As `stop`; nothing of it is in the loop afterwards, which may go.
  public func abandon() {
    stop()
    phases.stop()
  }

  // MARK: Requests that come

  /// It is tried again with every tick, which need not be said every time.
  private func warnOfDescriptors(_ code: Int32) {
    let nowMs = clock.monotonicMs
    guard nowMs >= nextDescriptorLineMs else { return }
    nextDescriptorLineMs = nowMs + Endpoint.linePauseMs
    logger.warning(
      "no descriptor for another connection",
      metadata: ["error": "\(String(cString: strerror(code)))"])
  }

  private func begin(_ descriptor: Int32, received: UnsafeRawBufferPointer? = nil) {
    let exchange = Exchange(descriptor: descriptor, loop: loop, endpoint: self)
    exchanges[ObjectIdentifier(exchange)] = exchange
    exchange.start(received: received)
  }

  private func dropUnfinished(_ nowMs: Int64) {
    guard exchanges.count >= Endpoint.maximumExchanges else { return }
    for exchange in exchanges.values
    where isUnknown(exchange) && nowMs - exchange.beganMs >= Endpoint.patienceWhenFullMs {
      exchange.drop()
    }
  }

  /// Its request is not here, or nobody vouches for it until keys have come.
  private func isUnknown(_ exchange: Exchange) -> Bool {
    exchange.isReading || waitingForKeys[ObjectIdentifier(exchange)] != nil
  }

  private func tick() {
    let nowMs = clock.monotonicMs
    if acceptor.isPaused {
      dropUnfinished(nowMs)
      acceptor.resume()
    }
    for exchange in exchanges.values where exchange.deadlineMs <= nowMs {
      exchange.deadlinePassed()
    }
    settleIfDone()
  }

  /// Takes over a client that somebody else has accepted, nonblocking, and of whose request `received` has
  /// been read, at most ``maximumHeadBytes``. False, with nothing done: too many requests are on their way
  /// in, and the descriptor is still the caller's.
  public func take(_ descriptor: Int32, received: UnsafeRawBufferPointer) -> Bool {
    guard exchanges.count < Endpoint.maximumExchanges else { return false }
    options.apply(to: descriptor)
    begin(descriptor, received: received)
    return true
  }

  /// Takes over a client whose request somebody else has read, nonblocking: as
  /// ``Instance/register(_:for:context:)``, with the options of the socket set before.
  public func take(
    _ descriptor: Int32, _ subscription: Subscription, _ context: ConnectionContext? = nil
  ) -> Registration {
    options.apply(to: descriptor)
    return instance.register(descriptor, for: subscription, context: context)
  }

  // MARK: What exchanges ask for

  /// A request is complete that `descriptor` has.
  func arrival(_ head: RequestHead, on descriptor: Int32) -> Arrival {
    var arrival = gate.arrival(head, from: NetworkAddress(peerOf: descriptor))
    arrival.originFields = router.originFields(head)
    return arrival
  }

  /// What may make an answer one of yesterday.
  var changes: EndpointChanges {
    EndpointChanges(closes: instance.closing.recent.count, configurations: configurationCount)
  }

  /// Whether what was found out when `seen` was all may not hold any more.
  func isOvertaken(
    _ seen: EndpointChanges, _ subscription: Subscription, member: String?
  ) -> Bool {
    seen.configurations != configurationCount
      || instance.closing.recent.hit(subscription, member: member, since: seen.closes)
  }

  /// What a complete request gets. The subscription may still find no room.
  func decide(_ head: RequestHead, _ arrival: inout Arrival) -> Router.Decision {
    arrival.streams = []
    if let response = fallbackResponse(head, arrival) { return .respond(response) }
    let decision = router.decide(head, at: clock.unixSeconds)
    if case .respond(let response) = decision, response.status == 401 { refusedToken() }
    let wanted: (store: StoreKind, laneCount: Int)
    switch decision {
    case .stream(let subscription):
      wanted = (subscription.store, 0)
      arrival.streams = [subscription.name]
    case .streams(let set):
      wanted = (set.store, set.subscriptions.count)
      arrival.streams = set.subscriptions.map(\.name)
    case .awaitKeys(let store, _): wanted = (store, 0)
    case .respond: return decision
    }
    guard instance.serves(wanted.store) else { return .respond(.notFound) }
    if let reason = refusal(&arrival, lanes: wanted.laneCount) {
      return .respond(refusing(reason, wanted.store, arrival))
    }
    return decision
  }

  /// Asks whether `exchange` may have what it wants; `number`: of several streams, which one.
  func ask(
    about subscription: Subscription, number: Int? = nil, _ request: EndpointRequest,
    for exchange: Exchange
  ) {
    let question = AuthorizationQuestion(
      exchange: exchange, subscription: subscription, number: number, request: request)
    if subscription.isPublicPattern && !authorizesPatterns {
      question.answer(.forbid)
    } else {
      authorize?(question)
    }
  }

  /// Whether `exchange` has to wait for keys; it is told when they have come.
  func waitsForKeys(_ exchange: Exchange, _ head: RequestHead) -> Bool {
    guard fetchesTokenKeys() else { return false }
    waitingForKeys[ObjectIdentifier(exchange)] = (exchange, head)
    return true
  }

  /// From now on tokens are verified by these.
  package func use(_ keys: [TokenKey]) { router.names.tokens?.keys = keys }

  /// An attempt to fetch keys is over; nil: without success, and the old ones stay.
  package func tokenKeysCame(_ keys: [TokenKey]?) {
    areTokenKeysAway = keys == nil
    if let keys {
      use(keys)
    } else {
      instance.parts.writer.statistics.failedKeyFetches += 1
    }
    let waiting = waitingForKeys
    waitingForKeys = [:]
    for (exchange, head) in waiting.values { exchange.keysCame(head) }
  }

  /// Whether a key that is not here may be one that could not be fetched.
  var mayMissTokenKeys: Bool { areTokenKeysAway || router.names.tokens?.keys.isEmpty ?? true }

  func refusedToken() { instance.parts.writer.statistics.refusedTokens += 1 }

  private func fallbackResponse(_ head: RequestHead, _ arrival: Arrival) -> HTTPResponse? {
    guard let fallback, [.get, .head, .post].contains(head.method) else { return nil }
    return fallback(EndpointRequest(head, arrival))?.response
  }

  func register(
    _ descriptor: Int32, for subscription: Subscription, _ context: ConnectionContext?,
    _ arrival: Arrival
  ) {
    _ = instance.register(descriptor, for: subscription, context: context, arrival)
  }

  func register(_ descriptor: Int32, for set: SubscriptionSet, _ arrival: Arrival) {
    _ = instance.register(descriptor, for: set, arrival)
  }

  /// Whether a descriptor is ours is known for those, too, whose requests are being read.
  func keep(_ descriptor: Int32) { instance.parts.writer.descriptors.insert(descriptor) }

  func closed(_ descriptor: Int32) { instance.parts.writer.descriptors.remove(descriptor) }

  /// An exchange is over. It is freed when the loop is about to sleep, not in its own callback.
  func ended(_ exchange: Exchange) {
    waitingForKeys[ObjectIdentifier(exchange)] = nil
    if let exchange = exchanges.removeValue(forKey: ObjectIdentifier(exchange)) {
      finished.append(exchange)
    }
  }
}
