import Glibc

/// One accepted connection until its request is answered or handed over.
///
///     reading ─complete─▶ (authorizing) ─▶ handed over to the instance
///        └──refused─▶ responding ─sent─▶ lingering ─▶ closed
final class Exchange {
  private enum State { case reading, authorizing, responding, lingering, over }

  /// When the present state has to be over, in milliseconds of the monotonic clock.
  private(set) var deadlineMs: Int64
  /// When the connection came.
  let beganMs: Int64

  private let descriptor: Int32
  private unowned let endpoint: Endpoint
  private let calls = SystemCalls()
  private var state = State.reading
  private var parser = RequestParser()
  /// What came so far of a head that did not come at once.
  private var received: [UInt8] = []
  private var response: PendingResponse?
  private var drained = 0
  private var setAuthorization: SetAuthorization?
  /// What those who are asked see of it.
  private var request: EndpointRequest?
  /// What the endpoint had heard when it decided.
  private var seen = EndpointChanges()
  private var hasDecidedAgain = false
  private var isAsking = false
  private var isHead = false
  /// Of what it waits for, while it is `authorizing`.
  private var store = StoreKind.native
  /// What is known of the client.
  private(set) lazy var arrival = Arrival()
  private let watcher: IOWatcher

  /// How long, and for how many bytes, a refused client is listened to, so that closing does not
  /// reset the connection before it has read the refusal.
  private static let lingerMs: Int64 = 2_000
  private static let lingerBytes = 4 * 1024 * 1024

  init(descriptor: Int32, loop: EventLoop, endpoint: Endpoint) {
    self.descriptor = descriptor
    self.endpoint = endpoint
    beganMs = endpoint.clock.monotonicMs
    deadlineMs = beganMs + endpoint.headTimeoutMs
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
    arrival = endpoint.arrival(head, on: descriptor)
    isHead = head.method == .head
    decide(head)
  }

  /// `mayWait`: keys may come that are not known yet.
  private func decide(_ head: RequestHead, mayWait: Bool = true) {
    seen = endpoint.changes
    switch endpoint.decide(head, &arrival) {
    case .respond(let response): respond(response)
    case .awaitKeys(let store, let refusal):
      self.store = store
      state = .authorizing
      if !mayWait || !endpoint.waitsForKeys(self, head) { refuseForKey(refusal) }
    case .stream(let subscription): ask(subscription, head)
    case .streams(let set): ask(set, head)
    }
  }

  private func ask(_ subscription: Subscription, _ head: RequestHead) {
    store = subscription.store
    state = .authorizing
    guard endpoint.authorize != nil else { return handOver(subscription, subscription.context) }
    let request = EndpointRequest(head, arrival)
    self.request = request
    endpoint.ask(about: subscription, request, for: self)
  }

  private func ask(_ set: SubscriptionSet, _ head: RequestHead) {
    store = set.store
    state = .authorizing
    guard endpoint.authorize != nil else { return handOver(set) }
    setAuthorization = SetAuthorization(set)
    request = EndpointRequest(head, arrival)
    askNext()
  }

  /// Whether an answer may be from before something that has been heard since.
  func isOvertaken(_ subscription: Subscription, member: String?) -> Bool {
    endpoint.isOvertaken(seen, subscription, member: member)
  }

  /// Finds out anew what may be from before something that has been heard since. Once: to an application that closes
  /// a member's other connections whenever it is asked, that was its last word.
  private func decidesAgain(_ isOvertaken: Bool) -> Bool {
    guard isOvertaken, !hasDecidedAgain, let request else { return false }
    hasDecidedAgain = true
    decide(request.head)
    return true
  }

  /// An answer that comes from within a question asks no further by itself: it goes on here.
  private func askNext() {
    if isAsking { return }
    isAsking = true
    while state == .authorizing, let request,
      let (number, subscription) = setAuthorization?.next()
    {
      endpoint.ask(about: subscription, number: number, request, for: self)
    }
    isAsking = false
  }

  /// The keys are here that it has waited for, or others, or none.
  func keysCame(_ head: RequestHead) {
    if state == .authorizing { decide(head, mayWait: false) }
  }

  /// A browser takes 401 for the last word: not while nobody can say whether there is such a key.
  private func refuseForKey(_ refusal: HTTPResponse) {
    if endpoint.mayMissTokenKeys { return respond(endpoint.unavailable(store, arrival)) }
    endpoint.refusedToken()
    respond(refusal)
  }

  private func handOver(_ subscription: Subscription, _ context: ConnectionContext?) {
    if let refusal = endpoint.seat(subscription, context, &arrival) { return respond(refusal) }
    if isHead { return respondToPage(.streamHeadOnly) }
    state = .over
    watcher.stop()
    var subscription = subscription
    subscription.head = named(subscription.head)
    endpoint.register(descriptor, for: subscription, context, arrival)
    letGo()
  }

  private func handOver(_ given: SubscriptionSet) {
    var set = given
    if let refusal = endpoint.seat(&set, &arrival) { return respond(refusal) }
    if isHead { return respondToPage(.streamHeadOnly) }
    state = .over
    watcher.stop()
    set.head = named(set.head)
    endpoint.register(descriptor, for: set, arrival)
    letGo()
  }

  private func named(_ head: [UInt8]) -> [UInt8] {
    HTTPResponse.adding(RequestID.field, arrival.requestID.text, toHead: head)
  }

  /// The connection alone holds the places that it takes.
  private func letGo() {
    arrival.admission = nil
    endpoint.ended(self)
  }

  /// One of the questions about several streams was answered; false: it has not waited for that.
  func authorized(_ number: Int, _ permission: Permission) -> Bool {
    guard state == .authorizing else { return false }
    guard let set = setAuthorization?.answered(number, permission) else {
      askNext()
      return true
    }
    switch set.refusal {
    case nil:
      let isOld = set.subscriptions.contains { isOvertaken($0, member: $0.context?.member) }
      if !decidesAgain(isOld) { handOver(set) }
    case HTTPResponse.unavailable.status?: respond(endpoint.unavailable(set.store, arrival))
    case let status?: respondToPage(.refusingAll(for: status))
    }
    return true
  }

  /// The question about it was answered; false: it has not waited for that.
  func authorized(_ subscription: Subscription, _ permission: Permission) -> Bool {
    guard state == .authorizing else { return false }
    switch permission {
    case .allow(let given):
      let token = subscription.context
      let context = given?.ending(by: token?.expiresAt) ?? token
      let isOld = isOvertaken(subscription, member: context?.member)
      if !decidesAgain(isOld) { handOver(subscription, context) }
    case .forbid: respondToPage(.forbidden)
    case .fault: respondToPage(.fault)
    case .unavailable: respond(endpoint.unavailable(subscription.store, arrival))
    }
    return true
  }

  var isAuthorizing: Bool { state == .authorizing }

  /// Its request has not come yet, or not all of it.
  var isReading: Bool { state == .reading }

  /// What its answers are measured by.
  var unixSeconds: Int64 { endpoint.clock.unixSeconds }

  /// Whether its client has all that it gets.
  var isAnswered: Bool { state == .lingering || state == .over }

  /// A client that waits has nothing to say, unless it goes.
  private func readAhead() {
    withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 16) { buffer in
      let outcome = calls.receive(descriptor, into: buffer)
      if outcome == .closed || outcome == .timedOut { end() }
    }
  }

  // MARK: Responding

  /// A page of another origin shall see which response it is.
  private func respondToPage(_ response: HTTPResponse) {
    respond(response.adding(arrival.originFields))
  }

  private func respond(_ response: HTTPResponse) {
    state = .responding
    received = []
    arrival.admission = nil
    if response.isRefusal { endpoint.refused(response, arrival, on: descriptor) }
    var response = response.adding([("\(RequestID.field)", arrival.requestID.text)])
    response.isHeadOnly = isHead
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
    case .authorizing: respond(endpoint.unavailable(store, arrival))
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
    letGo()
  }
}

extension HTTPResponse {
  /// It gives the client nothing of what it asked for.
  var isRefusal: Bool { status >= 400 || refusal != nil }

  /// What a client gets whose request cannot be understood.
  init(refusing reason: RequestParser.Reason) {
    let texts = [400: "Bad Request", 431: "Request Header Fields Too Large"]
    self = .plain(
      reason.status, texts[reason.status] ?? "HTTP Version Not Supported", "\(reason.text)")
  }
}
