import Glibc

/// One request to the admin address, from its connection's coming to its end.
package final class AdminExchange {
  private enum State { case reading, answering, responding, lingering, streaming, over }

  /// The path, as it came; set before the request is handed on.
  package private(set) var path = ""
  package private(set) var isPost = false

  private let descriptor: Int32
  private weak var endpoint: AdminEndpoint?
  private let calls = SystemCalls()
  private var state = State.reading
  private var isHead = false
  private var head: RequestHead?
  private var parser = RequestParser()
  /// What came so far of the request's head.
  private var received: [UInt8] = []
  private var response: PendingResponse?
  /// What a stream's client has not taken yet.
  private var unsent: [UInt8] = []
  private let watcher: IOWatcher
  /// When it has to be over, in milliseconds of the monotonic clock.
  private(set) var deadlineMs: Int64

  /// From the first byte to the last; of a stream, that a client takes nothing.
  private static let longestMs: Int64 = 5_000
  /// No more is kept for a client that does not take it.
  private static let maximumUnsentBytes = 256 * 1024

  init(descriptor: Int32, loop: EventLoop, endpoint: AdminEndpoint) {
    self.descriptor = descriptor
    self.endpoint = endpoint
    deadlineMs = endpoint.clock.monotonicMs + AdminExchange.longestMs
    weak var weakSelf: AdminExchange?
    watcher = IOWatcher(loop: loop) { _ in weakSelf?.socketReady() }
    weakSelf = self
    watcher.watch(descriptor, for: .readable)
  }

  private func socketReady() {
    switch state {
    case .reading, .answering, .lingering: receive()
    case .responding: send()
    case .streaming:
      receive()
      if state == .streaming { sendUnsent() }
    case .over: break
    }
  }

  private func receive() {
    withUnsafeTemporaryAllocation(byteCount: RequestParser.maximumHeadBytes + 1, alignment: 16) {
      buffer in
      switch calls.receive(descriptor, into: buffer) {
      case .wouldBlock: break
      case .closed, .timedOut: end()
      case .transferred(let count):
        // Whatever comes behind the request is not for us.
        if state == .reading { parse(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
      }
    }
  }

  private func parse(_ bytes: UnsafeRawBufferPointer) {
    received.append(contentsOf: bytes)
    switch received.withUnsafeBytes({ parser.parse($0) }) {
    case .incomplete: break
    case .invalid(let reason): respond(HTTPResponse(refusing: reason))
    case .complete(let head): handOn(head)
    }
  }

  private func handOn(_ head: RequestHead) {
    received = []
    guard [.get, .head, .post].contains(head.method) else { return refuseMethod("GET, HEAD, POST") }
    isHead = head.method == .head
    isPost = head.method == .post
    self.head = head
    path = String(decoding: head.path, as: UTF8.self)
    state = .answering
    endpoint?.handler(self)
  }

  // MARK: What was asked

  /// The value of the first field of that name.
  package func field(_ name: String) -> String? {
    head?.value(of: name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The value behind `name=` in the query, decoded; nil: it is not there, or malformed.
  package func query(_ name: String) -> String? {
    guard
      case .found(let value)? = head?.query.map({
        PercentEncoding.queryValue(Array(name.utf8), in: $0)
      })
    else { return nil }
    return String(validating: value, as: UTF8.self)
  }

  /// `HOST:PORT` of who asks; nil: it has none, or is gone.
  package var address: String? { SocketAddress(peerOf: descriptor)?.text }

  // MARK: Answering

  /// Answers the request, now or later. A client that has gone meanwhile does not hear of it.
  package func respond(
    _ status: Int, _ body: String, contentType: String = "text/plain",
    fields: [(name: String, value: String)] = []
  ) {
    respond(
      HTTPResponse(
        status: status, reason: AdminExchange.reasons[status] ?? "Other",
        fields: [("content-type", contentType), ("cache-control", "no-store")] + fields,
        body: Array(body.utf8))
    )
  }

  private static let reasons = [
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    503: "Service Unavailable",
  ]

  /// It is not a method for what was asked.
  package func refuseMethod(_ allowed: String) {
    var refusal = HTTPResponse.plain(405, "Method Not Allowed", "\(allowed) alone")
    refusal.fields.append(("allow", allowed))
    respond(refusal)
  }

  private func respond(_ response: HTTPResponse) {
    guard state == .reading || state == .answering else { return }
    var response = response
    response.isHeadOnly = isHead
    self.response = PendingResponse(response)
    state = .responding
    send()
  }

  private func send() {
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
  }

  // MARK: A stream of events

  /// Answers with the head of a stream, which has no end of its own.
  package func startStream() {
    guard state == .answering else { return }
    if isHead { return respond(200, "", contentType: "text/event-stream") }
    state = .streaming
    send(HTTPResponse.streamHead([]))
  }

  /// Sends `bytes`, now or when there is room. A client that does not take what it gets is let go.
  package func send(_ bytes: [UInt8]) {
    guard state == .streaming else { return }
    guard unsent.count + bytes.count <= AdminExchange.maximumUnsentBytes else { return end() }
    unsent.append(contentsOf: bytes)
    sendUnsent()
  }

  /// How soon it has to make room for another; nil: not at all. One that has its answer before one whose request
  /// has not come yet.
  var evictionRank: Int? {
    switch state {
    case .lingering: 0
    case .reading: 1
    case .answering, .responding, .streaming, .over: nil
    }
  }

  /// The client has gone, or was let go.
  package var isOver: Bool { state == .over }

  private func sendUnsent() {
    var sent = 0
    sending: while sent < unsent.count {
      let outcome = unsent.withUnsafeBytes {
        calls.send(descriptor, $0.baseAddress! + sent, $0.count - sent)
      }
      switch outcome {
      case .transferred(let count): sent += count
      case .wouldBlock: break sending
      case .closed, .timedOut: return end()
      }
    }
    unsent.removeFirst(sent)
    if sent > 0 || unsent.isEmpty { putOffDeadline() }
    watcher.watch(descriptor, for: unsent.isEmpty ? .readable : [.readable, .writable])
  }

  /// One that takes all there is may stay.
  private func putOffDeadline() {
    guard let nowMs = endpoint?.clock.monotonicMs else { return }
    deadlineMs = unsent.isEmpty ? .max : nowMs + AdminExchange.longestMs
  }

  /// Closes, whatever has been said.
  func end() {
    guard state != .over else { return }
    state = .over
    unsent = []
    watcher.stop()
    calls.close(descriptor)
    endpoint?.ended(self)
  }
}
