import Glibc

/// One request to the admin address, from its connection's coming to its end. Unlike an `Exchange` it
/// never becomes a stream.
package final class AdminExchange {
  private enum State { case reading, answering, responding, lingering, over }

  /// The path, as it came; set before the request is handed on.
  package private(set) var path = ""

  private let descriptor: Int32
  private weak var endpoint: AdminEndpoint?
  private let calls = SystemCalls()
  private var state = State.reading
  private var isHead = false
  private var received: [UInt8] = []
  private var response: PendingResponse?
  private let watcher: IOWatcher
  /// When it has to be over, in milliseconds of the monotonic clock.
  let deadlineMs: Int64

  /// From the first byte to the last.
  private static let longestMs: Int64 = 5_000

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
    var parser = RequestParser()
    switch received.withUnsafeBytes({ parser.parse($0) }) {
    case .incomplete: break
    case .invalid(let reason): respond(HTTPResponse(refusing: reason))
    case .complete(let head): handOn(head)
    }
  }

  private func handOn(_ head: RequestHead) {
    received = []
    guard [.get, .head].contains(head.method) else {
      var refusal = HTTPResponse.plain(405, "Method Not Allowed", "GET and HEAD alone")
      refusal.fields.append(("allow", "GET, HEAD"))
      return respond(refusal)
    }
    isHead = head.method == .head
    path = String(decoding: head.path, as: UTF8.self)
    state = .answering
    endpoint?.handler(self)
  }

  /// Answers the request, now or later. A client that has gone meanwhile does not hear of it.
  package func respond(_ status: Int, _ body: String, contentType: String = "text/plain") {
    let reasons = [200: "OK", 404: "Not Found", 503: "Service Unavailable"]
    respond(
      HTTPResponse(
        status: status, reason: reasons[status] ?? "Other",
        fields: [("content-type", contentType), ("cache-control", "no-store")], body: body))
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

  /// Closes, whatever has been said.
  func end() {
    guard state != .over else { return }
    state = .over
    watcher.stop()
    calls.close(descriptor)
    endpoint?.ended(self)
  }
}
