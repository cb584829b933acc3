import Glibc

/// One accepted connection until its request is answered or handed over.
///
///     reading ─complete─▶ (authorizing) ─▶ handed over to the instance
///        └──refused─▶ responding ─sent─▶ lingering ─▶ closed
final class Exchange {
  private enum State { case reading, authorizing, responding, lingering, over }

  /// When the present state has to be over, in milliseconds of the monotonic clock.
  private(set) var deadlineMs: Int64

  private let descriptor: Int32
  private unowned let endpoint: Endpoint
  private let calls = SystemCalls()
  private var state = State.reading
  private var parser = RequestParser()
  /// What came so far of a head that did not come at once.
  private var received: [UInt8] = []
  private var response: PendingResponse?
  private var drained = 0
  private let watcher: IOWatcher

  /// How long, and for how many bytes, a refused client is listened to, so that closing does not
  /// reset the connection before it has read the refusal.
  private static let lingerMs: Int64 = 2_000
  private static let lingerBytes = 4 * 1024 * 1024

  init(descriptor: Int32, loop: EventLoop, endpoint: Endpoint) {
    self.descriptor = descriptor
    self.endpoint = endpoint
    deadlineMs = endpoint.clock.monotonicMs + endpoint.headTimeoutMs
    weak var weakSelf: Exchange?
    watcher = IOWatcher(loop: loop) { weakSelf?.socketReady($0) }
    weakSelf = self
  }

  /// Most requests are there already: reading at once spares a turn of the loop. `received`: what was read
  /// of it by somebody else.
  func start(received: UnsafeRawBufferPointer? = nil) {
    endpoint.keep(descriptor)
    watcher.watch(descriptor, for: .readable)
    if let received, !received.isEmpty { parse(received) }
    socketReady(.readable)
  }

  private func socketReady(_ events: IOEvents) {
    switch state {
    case .reading: readHead()
    case .authorizing: readAhead()
    case .responding: sendResponse()
    case .lingering: drain()
    case .over: break
    }
  }

  // MARK: Reading

  private func readHead() {
    withUnsafeTemporaryAllocation(byteCount: RequestParser.maximumHeadBytes + 1, alignment: 16) {
      buffer in
      switch calls.receive(descriptor, into: buffer) {
      case .wouldBlock: break
      case .closed, .timedOut: end()
      case .transferred(let count):
        parse(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    }
  }

  private func parse(_ bytes: UnsafeRawBufferPointer) {
    let outcome: RequestParser.Outcome
    if received.isEmpty {
      outcome = parser.parse(bytes)
      if case .incomplete = outcome { received.append(contentsOf: bytes) }
    } else {
      received.append(contentsOf: bytes)
      outcome = received.withUnsafeBytes { parser.parse($0) }
    }
    switch outcome {
    case .incomplete: break
    case .invalid(let reason): respond(HTTPResponse(refusing: reason))
    case .complete(let head): answer(head)
    }
  }

  private func answer(_ head: RequestHead) {
    switch endpoint.decide(head) {
    case .respond(let response): respond(response)
    case .awaitKeys(let refusal):
      state = .authorizing
      if !endpoint.waitsForKeys(self, head) { refuse(refusal) }
    case .stream(let subscription): ask(subscription, head)
    }
  }

  private func ask(_ subscription: Subscription, _ head: RequestHead) {
    state = .authorizing
    if !endpoint.asksAbout(subscription, head, for: self) {
      handOver(subscription, subscription.context)
    }
  }

  /// The keys are here that it has waited for, or others, or `areMissing`: none at all.
  func keysCame(_ head: RequestHead, areMissing: Bool) {
    guard state == .authorizing else { return }
    switch endpoint.decide(head) {
    case .respond(let response): respond(response)
    case .awaitKeys(let refusal): areMissing ? respond(.unavailable) : refuse(refusal)
    case .stream(let subscription): ask(subscription, head)
    }
  }

  private func refuse(_ refusal: HTTPResponse) {
    endpoint.refusedToken()
    respond(refusal)
  }

  private func handOver(_ subscription: Subscription, _ context: ConnectionContext?) {
    state = .over
    watcher.stop()
    endpoint.register(descriptor, for: subscription, context)
    endpoint.ended(self)
  }

  /// The question about it was answered; false: it has not waited for that.
  func authorized(_ subscription: Subscription, _ permission: Permission) -> Bool {
    guard state == .authorizing else { return false }
    switch permission {
    case .allow(let context):
      let end = subscription.context?.expiresAt
      handOver(subscription, context?.ending(by: end) ?? subscription.context)
    case .forbid: respond(.forbidden)
    case .fault: respond(.fault)
    case .unavailable: respond(.unavailable)
    }
    return true
  }

  var isAuthorizing: Bool { state == .authorizing }

  /// The client's address in numbers, without the port; nil: it has none, as on a Unix socket.
  var clientAddress: String? { SocketAddress(peerOf: descriptor)?.host }

  /// A client that waits has nothing to say, unless it goes.
  private func readAhead() {
    withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 16) { buffer in
      let outcome = calls.receive(descriptor, into: buffer)
      if outcome == .closed || outcome == .timedOut { end() }
    }
  }

  // MARK: Refusing

  private func respond(_ response: HTTPResponse) {
    state = .responding
    received = []
    self.response = PendingResponse(response)
    deadlineMs = endpoint.clock.monotonicMs + Exchange.lingerMs
    sendResponse()
  }

  private func sendResponse() {
    switch response?.send(to: descriptor, calls) {
    case .sent: linger()
    case .waits: watcher.watch(descriptor, for: .writable)
    case .gone, nil: end()
    }
  }

  private func linger() {
    state = .lingering
    response = nil
    watcher.watch(descriptor, for: .readable)
    drain()
  }

  private func drain() {
    withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 16) { buffer in
      switch calls.receive(descriptor, into: buffer) {
      case .wouldBlock: break
      case .closed, .timedOut: end()
      case .transferred(let count):
        drained += count
        if drained > Exchange.lingerBytes { end() }
      }
    }
  }

  // MARK: Ending

  /// The state took too long.
  func deadlinePassed() {
    switch state {
    case .reading: respond(.headTimeout)
    case .authorizing: respond(.fault)
    case .responding, .lingering, .over: end()
    }
  }

  /// Closes without another word.
  func drop() {
    end()
  }

  private func end() {
    guard state != .over else { return }
    state = .over
    watcher.stop()
    endpoint.closed(descriptor)
    calls.close(descriptor)
    endpoint.ended(self)
  }
}

extension HTTPResponse {
  /// What a client gets whose request cannot be understood.
  init(refusing reason: RequestParser.Reason) {
    let texts = [400: "Bad Request", 431: "Request Header Fields Too Large"]
    self = .plain(
      reason.status, texts[reason.status] ?? "HTTP Version Not Supported", "\(reason.text)")
  }
}
