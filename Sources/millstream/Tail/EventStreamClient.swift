/// Reads an event stream over HTTP, and reads on from its cursor when the connection was lost.
struct EventStreamClient {
  /// How the stream went on, for standard error.
  enum Notice {
    case connected
    case waiting(reason: String, delayMs: Int64)
  }

  /// Why a connection ended that may be made anew.
  private struct Ended: Error {
    let reason: String
    var delayMs: Int64?
  }

  private static let answerTimeoutMs: Int64 = 10_000
  /// Before the server has said anything else.
  private static let defaultRetryMs: Int64 = 2_000
  /// A server that asks for less is not hammered at.
  private static let shortestRetryMs: Int64 = 100

  private let url: TailURL
  /// A connection on which nothing has come for so long is lost; 0: it may be silent for ever.
  var longestSilenceMs: Int64 = 0
  /// What a status means where that is not an event stream of messages.
  var hints: [Int: String] = [:]
  private var parser = EventStreamParser()

  init(url: TailURL) {
    self.url = url
  }

  /// Reads until `take` answers false.
  /// - Throws: `OperatingFailure` if the server refuses, which it would do again.
  mutating func run(
    take: (EventStreamParser.Item) -> Bool, notice: (Notice) -> Void
  ) throws {
    while true {
      do {
        try readOnce(take: take, notice: notice)
        return
      } catch let ended as Ended {
        try wait(ended, notice)
      } catch let failure as ClientSocket.Failure {
        try wait(Ended(reason: failure.description), notice)
      }
    }
  }

  private func wait(_ ended: Ended, _ notice: (Notice) -> Void) throws {
    guard !parser.isOverLimit else {
      throw OperatingFailure("an event is longer than \(EventStreamParser.maximumEventBytes) bytes")
    }
    let asked = ended.delayMs ?? parser.retryMs ?? EventStreamClient.defaultRetryMs
    let delayMs = min(max(asked, EventStreamClient.shortestRetryMs), 3_600_000)
    notice(.waiting(reason: ended.reason, delayMs: delayMs))
    Pause.wait(ms: delayMs)
  }

  /// One connection; returns when `take` wants no more.
  private mutating func readOnce(
    take: (EventStreamParser.Item) -> Bool, notice: (Notice) -> Void
  ) throws {
    parser.reset()
    let socket = try ClientSocket(
      host: url.host, port: url.port, timeoutMs: EventStreamClient.answerTimeoutMs)
    try socket.write(request())
    var (head, body) = try EventStreamClient.readHead(socket)
    try check(head, body)
    notice(.connected)
    socket.limitReads(toMs: longestSilenceMs)
    var chunks = ChunkDecoder()
    while true {
      for item in parser.consume(head.isChunked ? chunks.decode(body) : Array(body)) {
        if !take(item) { return }
      }
      guard !parser.isOverLimit, !chunks.isMalformed else {
        throw Ended(reason: "the answer cannot be read")
      }
      if chunks.isDone { throw Ended(reason: "the server ended the stream") }
      body = try socket.read()
      if body.isEmpty { throw Ended(reason: "the server closed the connection") }
    }
  }

  private func request() -> [UInt8] {
    var lines = [
      "GET \(url.target) HTTP/1.1", "Host: \(url.authority)", "Accept: text/event-stream",
      "Cache-Control: no-cache", "User-Agent: millstream-tail",
    ]
    if !parser.lastEventID.isEmpty { lines.append("Last-Event-ID: \(parser.lastEventID)") }
    return Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
  }

  /// The head, and what has come of the body with it.
  private static func readHead(
    _ socket: ClientSocket
  ) throws -> (ResponseHead, ArraySlice<UInt8>) {
    var bytes: [UInt8] = []
    while bytes.count < ResponseHead.maximumBytes {
      let more = try socket.read()
      if more.isEmpty { throw Ended(reason: "the server closed the connection without an answer") }
      bytes.append(contentsOf: more)
      if let (head, length) = ResponseHead.parse(bytes) { return (head, bytes[length...]) }
    }
    throw OperatingFailure("what answers there does not speak HTTP/1.1")
  }

  /// Whether this is a stream; a fault of the server's own (5xx) may be over soon, and
  /// so may what there is too much of.
  private func check(_ head: ResponseHead, _ body: ArraySlice<UInt8>) throws {
    let answer = "\(head.status) \(head.reason)"
    let delayMs = head.retryAfterSeconds.map { $0 * 1000 }
    if head.status >= 500 || head.status == 429 {
      throw Ended(reason: "the server says \(answer)", delayMs: delayMs)
    }
    if head.status == 200, let delayMs {
      throw Ended(reason: "the server has no room for now", delayMs: delayMs)
    }
    guard head.status == 200 else {
      let hint = hints[head.status] ?? EventStreamClient.hint(head.status, body)
      throw OperatingFailure("the server says \(answer): \(hint)")
    }
    guard head.contentType.hasPrefix("text/event-stream") else {
      throw OperatingFailure("the answer is '\(head.contentType)', not an event stream")
    }
  }

  private static func hint(_ status: Int, _ body: ArraySlice<UInt8>) -> String {
    switch status {
    case 400: "the cursor is not one that it gave out"
    case 403: "this stream is not for this client"
    // As it answers for whatever it does not have.
    case 404 where String(decoding: body, as: UTF8.self).hasPrefix("there are /, /status"):
      "this is the admin address, and streams are at an address of --listen"
    case 404: "no such stream, or the name is not signed with a secret of the server's"
    default: "that is no event stream"
    }
  }
}
