import CSystem
import Glibc
import Logging

/// Answers requests that are not for a stream: the demo's page, in practice.
public typealias FallbackHandler = (_ request: EndpointRequest) -> FallbackResponse?

/// Says whether a client may listen to a stream, whose name is in order. What it throws is a fault
/// inside: the client is told no more than that.
public typealias AuthorizeHook = (_ stream: String, _ request: EndpointRequest) throws -> Bool

/// A request as the hooks see it.
public struct EndpointRequest {
  /// `GET`, `POST`, or whatever it is.
  public let isPost: Bool
  /// The path, as it came.
  public let path: String
  /// The value of a header field; nil if it is not there.
  public let field: (StaticString) -> String?
  /// The value of a query field, decoded; nil if it is not there.
  public let query: (StaticString) -> String?
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

/// Accepts connections, reads their requests, and hands those that are for a stream to the instance.
public final class Endpoint {
  /// Asked for what no prefix matches; nil, or nil as the answer: 404.
  public var fallback: FallbackHandler?

  /// Asked for every stream; nil: whoever has a name that is in order may listen.
  public var authorize: AuthorizeHook?

  let router: Router
  let clock: Clock
  let headTimeoutMs: Int64
  private let loop: EventLoop
  private let instance: Instance
  private let logger: Logger
  private var sockets: [ListeningSocket] = []
  private var watchers: [IOWatcher] = []
  private var exchanges: [ObjectIdentifier: Exchange] = [:]
  private var finished: [Exchange] = []
  private lazy var timer = TimerWatcher(loop: loop) { [unowned self] in tick() }
  private lazy var phases = LoopPhases(loop: loop) { [unowned self] in
    finished.removeAll()
    return false
  }
  private var isPaused = false

  /// How many connections one listening socket accepts before everything else has its turn.
  private static let acceptsInSlice = 32
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

  /// Takes connections from `sockets`.
  public func start(on sockets: [ListeningSocket]) {
    let options = ClientSocketOptions(
      writeDeadlineMs: instance.configuration.writeDeadlineMs,
      heartbeatMs: instance.configuration.heartbeatMs)
    for socket in sockets { options.apply(to: socket.descriptor) }
    self.sockets = sockets
    watchers = sockets.map { socket in
      let watcher = IOWatcher(loop: loop) { [unowned self] _ in accept(from: socket.descriptor) }
      watcher.watch(socket.descriptor, for: .readable)
      return watcher
    }
    timer.repeatFiring(everyMs: Endpoint.tickMs)
    _ = phases
  }

  /// No more connections; requests that are on their way in are dropped.
  public func stop() {
    watchers = []
    sockets = []
    timer.stop()
    for exchange in exchanges.values { exchange.drop() }
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

  private func begin(_ descriptor: Int32) {
    let exchange = Exchange(descriptor: descriptor, loop: loop, endpoint: self)
    exchanges[ObjectIdentifier(exchange)] = exchange
    exchange.start()
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

  // MARK: What exchanges ask for

  /// What a complete request gets. The subscription may still find no room.
  func decide(_ head: RequestHead) -> Router.Decision {
    if let response = fallbackResponse(head) { return .respond(response) }
    let decision = router.decide(head, at: clock.unixSeconds)
    guard case .stream(let subscription) = decision else { return decision }
    if let refusal = refusal(of: subscription, head) { return .respond(refusal) }
    let hasRoom = instance.connectionCount < instance.configuration.maxConnections
    return hasRoom ? decision : .respond(.full)
  }

  private func refusal(of subscription: Subscription, _ head: RequestHead) -> HTTPResponse? {
    guard let authorize else { return nil }
    do {
      return try authorize(subscription.name, hookRequest(head)) ? nil : .forbidden
    } catch {
      logger.error("the authorize hook failed", metadata: ["error": "\(error)"])
      return .fault
    }
  }

  private func hookRequest(_ head: RequestHead) -> EndpointRequest {
    EndpointRequest(
      isPost: head.method == .post, path: String(decoding: head.path, as: UTF8.self),
      field: { head.value(of: $0).map { String(decoding: $0, as: UTF8.self) } },
      query: {
        guard case .found(let value) = PercentEncoding.queryValue($0, in: head.query ?? []) else {
          return nil
        }
        return String(decoding: value, as: UTF8.self)
      })
  }

  private func fallbackResponse(_ head: RequestHead) -> HTTPResponse? {
    guard let fallback, [.get, .head, .post].contains(head.method) else { return nil }
    guard let response = fallback(hookRequest(head)) else { return nil }
    return HTTPResponse(
      status: response.status, reason: response.status < 300 ? "OK" : "Refused",
      fields: [("content-type", response.contentType)], body: response.body,
      hasBody: response.status != 204 && head.method != .head)
  }

  func register(_ descriptor: Int32, for subscription: Subscription) {
    _ = instance.register(descriptor, for: subscription)
  }

  /// An exchange is over. It is freed when the loop is about to sleep, not in its own callback.
  func ended(_ exchange: Exchange) {
    if let exchange = exchanges.removeValue(forKey: ObjectIdentifier(exchange)) {
      finished.append(exchange)
    }
  }
}
