import Testing

@testable import Millstream

/// Where a token may stand in a request, and what it opens.
@Suite struct RouterTokenTests {
  private typealias Vectors = TokenVectors
  private static let chat = SignedNamesTests.chat
  private static let now: Int64 = 1_000
  private static let room = Vectors.signed(#"{"sub":"me","labels":["a"],"streams":["room:*"]}"#)
  private static let old = Vectors.signed(#"{"streams":["*"],"exp":900}"#)

  @Test(arguments: [
    ("GET /streams/room:1", 200), ("GET /streams/room%3A1", 200), ("GET /streams/room:", 200),
    ("HEAD /streams/room:1", 200), ("GET /pgbus/streams/room:1", 200),
    ("GET /streams/room", 403), ("GET /streams/lobby", 403), ("HEAD /streams/lobby", 403),
    ("GET /streams/room:%00", 404), ("GET /streams/room:%zz", 404), ("GET /streams/", 404),
    ("GET /elsewhere/room:1", 404), ("POST /streams/room:1", 404),
    ("GET /streams/\(chat)", 200), ("GET /streams/public:1", 200),
    ("GET /streams/room:1?since=x", 400), ("OPTIONS /streams/lobby", 204),
  ])
  func statusWithAToken(line: String, status: Int) throws {
    let decision = try Self.decide(line, "Authorization: Bearer \(Self.room)")
    #expect(Self.status(decision) == status)
  }

  @Test(arguments: [
    ("GET /streams/room:1", 401), ("GET /streams/\(chat)", 200), ("GET /streams/public:1", 200),
    ("GET /streams/\(chat)0", 401), ("HEAD /streams/room:1", 401), ("GET /streams/a%00", 404),
  ])
  func statusWithoutAToken(line: String, status: Int) throws {
    #expect(Self.status(try Self.decide(line)) == status)
  }

  @Test func withoutKeysNoTokenIsLookedAt() throws {
    let field = "Authorization: Bearer \(Self.room)"
    #expect(Self.status(try Self.decide("GET /streams/room:1", field, keys: nil)) == 404)
    #expect(Self.status(try Self.decide("GET /streams/public:1", field, keys: nil)) == 200)
  }

  @Test(arguments: [
    ["Authorization: Bearer \(room)"], ["authorization: bearer   \(room)"],
    ["Cookie: millstream_token=\(room)"], ["Cookie: a=b; millstream_token=\(room); c=d"],
    ["Cookie: a=b", "Cookie: millstream_token=\"\(room)\""],
    ["Authorization: Basic eDp5", "Cookie: millstream_token=\(room)"],
    ["Authorization: Bearer \(room)", "Cookie: millstream_token=\(old)"],
  ])
  func placesOfTokens(fields: [String]) throws {
    let decision = try Self.decide("GET /streams/room:1", fields)
    guard case .stream(let subscription) = decision else {
      Issue.record("\(fields.map { $0.prefix(20) })")
      return
    }
    #expect(subscription.context?.member == "me" && subscription.context?.labels == ["a"])
  }

  @Test func tokenInTheQuery() throws {
    #expect(Self.status(try Self.decide("GET /streams/room:1?since=1&token=\(Self.room)")) == 200)
    #expect(Self.status(try Self.decide("GET /streams/room:1?token=")) == 401)
    #expect(Self.status(try Self.decide("GET /streams/room:1?token=%zz")) == 401)
  }

  /// Also where the name alone would do: the client would miss what the token opens, and not know.
  @Test(arguments: ["GET /streams/room:1", "GET /streams/\(chat)", "GET /streams/public:1"])
  func tokenThatIsThereHasToBeValid(line: String) throws {
    for token in [Self.old, "nonsense", "", Self.room + "A"] {
      let decision = try Self.decide(line, "Authorization: Bearer \(token)x")
      #expect(Self.status(decision) == 401)
    }
    let twice = ["Authorization: Bearer \(Self.room)", "Authorization: Bearer \(Self.room)"]
    #expect(Self.status(try Self.decide(line, twice)) == 401)
  }

  @Test func refusalIsASentenceAndSaysNothingOfTheToken() throws {
    let decision = try Self.decide("GET /streams/room:1", "Authorization: Bearer \(Self.old)")
    guard case .respond(let response) = decision else {
      Issue.record("let in")
      return
    }
    let text = String(decoding: response.encoded, as: UTF8.self)
    #expect(text.hasPrefix("HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\n"))
    #expect(text.contains(#"www-authenticate: Bearer error="invalid_token""#))
    #expect(text.hasSuffix("\r\n\r\nthe token has expired\n"))
  }

  @Test func unknownKeyMayCome() throws {
    let decision = try Self.decide(
      "GET /streams/room:1", "Authorization: Bearer \(Self.room)", keys: [])
    guard case .awaitKeys(_, let response) = decision else {
      Issue.record("decided without a key")
      return
    }
    #expect(response.status == 401)
  }

  private static func decide(
    _ line: String, _ fields: String..., keys: [TokenKey]? = [TokenKey(secret: Vectors.secret)]
  ) throws -> Router.Decision {
    try decide(line, fields, keys: keys)
  }

  private static func decide(
    _ line: String, _ fields: [String], keys: [TokenKey]? = [TokenKey(secret: Vectors.secret)]
  ) throws -> Router.Decision {
    var configuration = EndpointConfiguration()
    configuration.secrets = [Array("s3cret".utf8)]
    configuration.publicPatterns = ["public*"]
    configuration.tokens = keys.map { TokenSettings(keys: $0) }
    let text = ([line + " HTTP/1.1", "Host: x"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    return Router(configuration: configuration).decide(try requestHead(text), at: now)
  }

  private static func status(_ decision: Router.Decision) -> Int {
    switch decision {
    case .stream, .streams: 200
    case .respond(let response), .awaitKeys(_, let response): response.status
    }
  }
}
