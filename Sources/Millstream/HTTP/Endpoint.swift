import CSystem
import Glibc
import Logging

/// Answers requests that are not for a stream, before their path is looked at; nil: it is none of ours. It
/// is asked for `GET`, `HEAD` and `POST`, with the head alone: no body is read.
public typealias FallbackHandler = (_ request: EndpointRequest) -> FallbackResponse?

/// A request as the hooks see it.
public struct EndpointRequest {
  private let head: RequestHead
  /// The client's address in numbers, as this server sees it; nil: it has none, as on a Unix socket.
  public let clientAddress: String?

  init(_ head: RequestHead, clientAddress: String? = nil) {
    self.head = head
    self.clientAddress = clientAddress
  }

  /// Whether it is a `POST`.
  public var isPost: Bool { head.method == .post }

  /// The path as it came, without the query and not decoded.
  public var path: String { String(decoding: head.path, as: UTF8.self) }

  /// The value of a header field, whatever the case of its name; nil if it is not there.
  public func field(_ name: String) -> String? {
    head.value(of: name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The values of all header fields of this name.
  public func fields(_ name: String) -> [String] {
    head.values(of: name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The value of a query field, decoded; nil if it is not there.
  public func query(_ name: String) -> String? {
    guard case .found(let value) = PercentEncoding.queryValue(name.utf8, in: head.query ?? [])
    else { return nil }
    return String(decoding: value, as: UTF8.self)
  }
}

/// What a fallback handler answers.
public struct FallbackResponse {
  /// For instance 200.
  public var status: Int
  /// The `content-type`.
  public var contentType: String
  /// The body.
  public var body: String

  /// A response of these parts.
  public init(status: Int, contentType: String, body: String) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }
}

/// Accepts connections, reads their requests, and hands those that are for a stream to the instance. Whoever
/// made it keeps it for as long as the loop runs.
public final class Endpoint {
  /// Asked first for every request; nil, or nil as the answer: it may be for a stream, and else is a 404.
  public var fallback: FallbackHandler?

  /// Asked for every stream; nil: whoever has a name that is in order may listen.
  public var authorize: AuthorizeHook?

  /// Whether keys can come that are not known yet, because these are being fetched: then who needs one
  /// waits for `tokenKeysCame`. Asked for each token whose key is not known.
  package var fetchesTokenKeys: () -> Bool = { false }

  private(set) var router: Router
  let clock: Clock
  let headTimeoutMs: Int64
  private let loop: EventLoop
  private let instance: Instance
  private let logger: Logger
  private var sockets: [ListeningSocket] = []
  private var watchers: [IOWatcher] = []
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
  private var isPaused = false
  private var waitingForKeys: [(exchange: Exchange, head: RequestHead)] = []

  /// How many connections one listening socket accepts before everything else has its turn.
  private static let acceptsInSlice = 32
  /// The longest head of a request, in bytes.
  public static let maximumHeadBytes = RequestParser.maximumHeadBytes
  /// How many requests may be on their way in beyond the connections that are allowed.
  private static let maximumExchanges = 4096
  private static let tickMs: Int64 = 100

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
    let watcher = IOWatcher(loop: loop) { [unowned self] _ in accept(from: socket.descriptor) }
    if !isPaused { watcher.watch(socket.descriptor, for: .readable) }
    sockets.append(socket)
    watchers.append(watcher)
  }

  /// No more connections; requests that are on their way in are dropped.
  public func stop() {
    watchers = []
    sockets = []
    timer.stop()
    for exchange in exchanges.values { exchange.drop() }
  }

  /// As `stop`; nothing of it is in the loop afterwards, which may go.
  public func abandon() {
    stop()
    phases.stop()
  }

  // MARK: Accepting

  private func accept(from listener: Int32) {
    for _ in 0..<Endpoint.acceptsInSlice {
      guard exchanges.count < Endpoint.maximumExchanges else { return pause() }
      let descriptor = ms_accept(listener)
      if descriptor >= 0 {
        begin(descriptor)
      } else if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) {
        logger.warning(
          "no descriptor for another connection",
          metadata: ["error": "\(String(cString: strerror(errno)))"])
        return pause()
      } else if errno == EAGAIN {
        return
      }
    }
  }

  private func begin(_ descriptor: Int32, received: UnsafeRawBufferPointer? = nil) {
    let exchange = Exchange(descriptor: descriptor, loop: loop, endpoint: self)
    exchanges[ObjectIdentifier(exchange)] = exchange
    exchange.start(received: received)
  }

  /// Without a descriptor to give, accepting would only spin: the backlog waits for a moment.
  private func pause() {
    isPaused = true
    for watcher in watchers { watcher.stop() }
  }

  private func tick() {
    if isPaused {
      isPaused = false
      for (socket, watcher) in zip(sockets, watchers) {
        watcher.watch(socket.descriptor, for: .readable)
      }
    }
    let nowMs = clock.monotonicMs
    for exchange in exchanges.values where exchange.deadlineMs <= nowMs {
      exchange.deadlinePassed()
    }
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

  /// What a complete request gets. The subscription may still find no room.
  func decide(_ head: RequestHead) -> Router.Decision {
    if let response = fallbackResponse(head) { return .respond(response) }
    let decision = router.decide(head, at: clock.unixSeconds)
    if case .respond(let response) = decision, response.status == 401 { refusedToken() }
    guard case .stream(let subscription) = decision else { return decision }
    guard instance.serves(subscription.store) else { return .respond(.notFound) }
    return instance.hasRoom ? decision : .respond(.full)
  }

  /// Asks whether `exchange` may have what it wants; false: nobody has to be asked.
  func asksAbout(_ subscription: Subscription, _ head: RequestHead, for exchange: Exchange) -> Bool
  {
    guard let authorize else { return false }
    let question = AuthorizationQuestion(
      exchange: exchange, subscription: subscription,
      request: EndpointRequest(head, clientAddress: exchange.clientAddress))
    authorize(question)
    return true
  }

  /// Whether `exchange` has to wait for keys; it is told when they have come.
  func waitsForKeys(_ exchange: Exchange, _ head: RequestHead) -> Bool {
    guard fetchesTokenKeys() else { return false }
    waitingForKeys.append((exchange, head))
    return true
  }

  /// An attempt to fetch keys is over; nil: without success, and the old ones stay.
  package func tokenKeysCame(_ keys: [TokenKey]?) {
    if let keys { router.tokens?.keys = keys }
    let areMissing = router.tokens?.keys.isEmpty ?? true
    let waiting = waitingForKeys
    waitingForKeys = []
    for (exchange, head) in waiting { exchange.keysCame(head, areMissing: areMissing) }
  }

  func refusedToken() { instance.parts.writer.statistics.refusedTokens += 1 }

  private func fallbackResponse(_ head: RequestHead) -> HTTPResponse? {
    guard let fallback, [.get, .head, .post].contains(head.method) else { return nil }
    guard let response = fallback(EndpointRequest(head)) else { return nil }
    return HTTPResponse(
      status: response.status, reason: response.status < 300 ? "OK" : "Refused",
      fields: [("content-type", response.contentType)], body: response.body,
      hasBody: response.status != 204 && head.method != .head)
  }

  func register(
    _ descriptor: Int32, for subscription: Subscription, _ context: ConnectionContext? = nil
  ) {
    _ = instance.register(descriptor, for: subscription, context: context)
  }

  /// Whether a descriptor is ours is known for those, too, whose requests are being read.
  func keep(_ descriptor: Int32) { instance.parts.writer.descriptors.insert(descriptor) }

  func closed(_ descriptor: Int32) { instance.parts.writer.descriptors.remove(descriptor) }

  /// An exchange is over. It is freed when the loop is about to sleep, not in its own callback.
  func ended(_ exchange: Exchange) {
    if let exchange = exchanges.removeValue(forKey: ObjectIdentifier(exchange)) {
      finished.append(exchange)
    }
  }
}
