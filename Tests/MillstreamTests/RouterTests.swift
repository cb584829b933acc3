import Testing

@testable import Millstream

/// The table of the wire reference, and what browsers of other origins need.
@Suite struct RouterTests {
  private static let chat = SignedNamesTests.chat

  @Test(arguments: [
    ("GET /pgbus/streams/\(chat)", 200), ("HEAD /pgbus/streams/\(chat)", 200),
    ("GET /streams/\(chat)", 200), ("GET /streams/public:1", 200),
    ("GET /streams/public%3A1", 200), ("OPTIONS /pgbus/streams/\(chat)", 204),
    ("OPTIONS /anything", 204), ("POST /pgbus/streams/\(chat)", 404),
    ("PUT /pgbus/streams/\(chat)", 404), ("DELETE /streams/public:1", 404),
    ("GET /pgbus/streams/", 404), ("GET /pgbus/streams", 404), ("GET /", 404),
    ("GET /pgbus/streamsx/\(chat)", 404), ("GET /pgbus/streams/chat", 404),
    ("GET /pgbus/streams/\(chat)0", 404), ("GET /streams/%zz", 404),
    ("GET /streams/public%00", 404),
    ("HEAD /pgbus/streams/chat", 404), ("GET /streams/public:1?since=x", 400),
    ("GET /streams/public:1?since=9223372036854775808", 400),
    ("GET /streams/public:1?since=9223372036854775807", 200),
    ("GET /streams/public:1?since=-5", 200), ("GET /streams/public:1?since=", 200),
    ("GET /streams/public:1?since=5-a", 200),
    ("GET /pgbus/streams/\(chat)?since=5-a", 400), ("HEAD /streams/public:1?since=x", 400),
  ])
  func statusOfARequest(line: String, status: Int) throws {
    #expect(try Self.status(Self.decide(line)) == status)
  }

  @Test func nameThatIsNoQueueIsNotFound() throws {
    let long = String(repeating: "a", count: 60)
    #expect(try Self.status(Self.decide("GET /pgbus/streams/public\(long)")) == 404)
    #expect(try Self.status(Self.decide("GET /streams/public\(long)")) == 200)
  }

  @Test func subscriptionOfAQueue() throws {
    let subscription = try Self.subscription(
      Self.decide("GET /pgbus/streams/\(Self.chat)?since=7", "Last-Event-ID: 12"))
    #expect(subscription.store == .pgmq && subscription.name == "chat")
    #expect(text(subscription.storageName) == "pgbus_chat")
    #expect(subscription.channels.first == "pgmq.q_pgbus_chat.INSERT")
    #expect(subscription.cursor == .after(id: 12, epoch: nil))
    #expect(subscription.head == HTTPResponse.streamHead([]))
  }

  @Test func subscriptionOfANativeStream() throws {
    let subscription = try Self.subscription(
      Self.decide("GET /streams/public%3Aa?since=7-1f", "Last-Event-ID: "))
    #expect(subscription.store == .native && subscription.name == "public:a")
    #expect(text(subscription.storageName) == "public:a")
    #expect(subscription.channels == [NativeSchema.channel])
    #expect(subscription.cursor == .after(id: 7, epoch: 0x1f))
  }

  @Test(
    arguments: [
      ("/s", "/s/native", "/s/native/public", .native), ("/s", "/s/native", "/s/public", .pgmq),
      ("/s/queue", "/s", "/s/queue/public", .pgmq), ("/s/queue", "/s", "/s/public", .native),
      ("/s/", "/t/", "/s/public", .pgmq), ("", "/t", "/public", .pgmq),
      ("", "/t", "/t/public", .native), (nil, "/t", "/t/public", .native),
      (nil, "/t", "/pgbus/streams/public", nil), ("/p", nil, "/streams/public", nil),
      ("/s", "/s/native", "/s/nativepublic", nil), ("/s/p", "/s", "/s/public", .native),
    ] as [(String?, String?, String, StoreKind?)])
  func prefixes(pgmq: String?, native: String?, path: String, store: StoreKind?) throws {
    let decision = try Self.decide("GET \(path)") {
      $0.pgmqPrefix = pgmq
      $0.nativePrefix = native
      $0.publicPatterns = ["public"]
    }
    if case .stream(let subscription) = decision {
      #expect(subscription.store == store)
    } else {
      #expect(store == nil)
    }
  }

  /// `orders:` has the queue of `orders`, and so has `公開:orders`: a star opens neither.
  @Test(arguments: [
    ("/pgbus/streams/orders:1", 200), ("/pgbus/streams/orders:1-a.b_c", 200),
    ("/pgbus/streams/orders:__1", 404), ("/pgbus/streams/orders:", 404),
    ("/pgbus/streams/orders:1:", 404), ("/pgbus/streams/orders::1", 404),
    ("/pgbus/streams/orders:%20", 404), ("/pgbus/streams/:all", 404),
    ("/pgbus/streams/%E5%85%AC%E9%96%8B:orders", 404), ("/streams/orders:", 200),
    ("/streams/%E5%85%AC%E9%96%8B:orders", 200), ("/pgbus/streams/just%20this:", 200),
  ])
  func patternsOpenNoQueueThatTheyDoNotName(path: String, status: Int) throws {
    let decision = try Self.decide("GET \(path)") {
      $0.publicPatterns = ["orders:*", "公開:*", "*:all", "just this:"]
    }
    #expect(Self.status(decision) == status)
  }

  @Test func namesMayHoldSlashes() throws {
    let subscription = try Self.subscription(Self.decide("GET /streams/public/a/b"))
    #expect(subscription.name == "public/a/b")
  }

  @Test(
    arguments: [
      (["https://a"], "https://a", ["access-control-allow-origin: https://a"], true),
      (["https://a"], "https://b", [], false), ([], "https://a", [], false),
      (["*"], "https://a", ["access-control-allow-origin: *"], false),
      (["*", "https://a"], "https://a", ["access-control-allow-origin: https://a"], true),
      (["https://a"], nil, [], false),
    ] as [([String], String?, [String], Bool)])
  func originsThatMayRead(
    allowed: [String], origin: String?, lines: [String], hasCredentials: Bool
  ) throws {
    let fields = origin.map { ["Origin: \($0)"] } ?? []
    for request in [
      "GET /streams/public", "HEAD /streams/public", "GET /streams/no", "OPTIONS /streams/public",
      "GET /streams/public?since=x",
    ] {
      let head = try Self.head(Self.decide(request, fields) { $0.allowedOrigins = allowed })
      #expect(head.filter { $0.hasPrefix("access-control-allow-origin") } == lines)
      #expect(head.contains("access-control-allow-credentials: true") == hasCredentials)
      #expect(head.contains("vary: origin") == hasCredentials)
    }
  }

  @Test func preflightIsAnsweredForTheOriginsThatMayRead() throws {
    let foreign = try Self.head(Self.decide("OPTIONS /streams/public", "Origin: https://b"))
    #expect(
      foreign == ["HTTP/1.1 204 No Content", "allow: GET, HEAD, OPTIONS", "connection: close"])
    let own = try Self.head(
      Self.decide("OPTIONS /streams/public", ["Origin: https://a"]) {
        $0.allowedOrigins = ["https://a"]
      })
    let allowed = "last-event-id, cache-control, authorization"
    #expect(own.contains("access-control-allow-headers: \(allowed)"))
    #expect(own.contains("access-control-allow-methods: GET, HEAD, OPTIONS"))
  }

  // MARK: -

  private static func decide(
    _ line: String, _ fields: String...
  ) throws -> Router.Decision {
    try decide(line, fields) { _ in }
  }

  private static func decide(
    _ line: String, _ fields: [String] = [], _ change: (inout EndpointConfiguration) -> Void
  ) throws -> Router.Decision {
    var configuration = EndpointConfiguration()
    configuration.secrets = [Array("s3cret".utf8)]
    configuration.publicPatterns = ["public*"]
    change(&configuration)
    let lines = ["\(line) HTTP/1.1", "Host: example.org"] + fields
    let head = try requestHead(lines.map { $0 + "\r\n" }.joined() + "\r\n")
    return Router(configuration: configuration).decide(head, at: 0)
  }

  private static func status(_ decision: Router.Decision) -> Int {
    switch decision {
    case .stream, .streams: 200
    case .respond(let response), .awaitKeys(_, let response): response.status
    }
  }

  private static func subscription(_ decision: Router.Decision) throws -> Subscription {
    guard case .stream(let subscription) = decision else { throw NoStream() }
    return subscription
  }

  private struct NoStream: Error {}

  /// The lines of the response's head.
  private static func head(_ decision: Router.Decision) -> [String] {
    let bytes =
      switch decision {
      case .stream(let subscription): subscription.head
      case .streams(let set): set.head
      case .respond(let response), .awaitKeys(_, let response): response.encoded
      }
    let lines = text(bytes).split(separator: "\r\n", omittingEmptySubsequences: false)
    return lines.prefix { !$0.isEmpty }.map(String.init)
  }
}
