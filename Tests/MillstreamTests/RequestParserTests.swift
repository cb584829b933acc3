import Testing

@testable import Millstream

/// Shows the parser everything at once.
func parseRequest(_ text: String) -> RequestParser.Outcome {
  parseRequest(Array(text.utf8))
}

func parseRequest(_ bytes: [UInt8]) -> RequestParser.Outcome {
  var parser = RequestParser()
  return bytes.withUnsafeBytes { parser.parse($0) }
}

func requestHead(_ text: String) throws -> RequestHead {
  guard case .complete(let head) = parseRequest(text) else {
    throw NotComplete(outcome: parseRequest(text))
  }
  return head
}

struct NotComplete: Error { let outcome: RequestParser.Outcome }

func text(_ bytes: some Sequence<UInt8>) -> String {
  String(decoding: Array(bytes), as: UTF8.self)
}

struct RequestParserTests {
  @Test func aRequestIsTakenApart() throws {
    let head = try requestHead(
      "GET /pgbus/streams/ab%2Fc?since=5&x=?y HTTP/1.1\r\nHost: example.org:8080\r\n"
        + "Last-Event-ID: \t 12 \t\r\nX-Empty:\r\nx-empty: second\r\nAccept:a b:c\u{e9}\r\n\r\n")
    #expect(head.method == .get)
    #expect(head.minorVersion == 1)
    #expect(text(head.path) == "/pgbus/streams/ab%2Fc")
    #expect(head.query.map(text) == "since=5&x=?y")
    #expect(head.value(of: "HOST").map(text) == "example.org:8080")
    #expect(head.value(of: "last-event-id").map(text) == "12")
    #expect(head.value(of: "x-empty").map(text) == "")
    #expect(head.count(of: "X-EMPTY") == 2)
    #expect(head.value(of: "accept").map(text) == "a b:c\u{e9}")
    #expect(head.value(of: "accep") == nil)
    #expect(head.value(of: "accept-") == nil)
  }

  @Test(arguments: [
    ("GET", RequestHead.Method.get), ("HEAD", .head), ("OPTIONS", .options), ("POST", .post),
    ("get", .other), ("DELETE", .other), ("M-SEARCH", .other),
  ])
  func methodsAreToldApart(name: String, method: RequestHead.Method) throws {
    #expect(try requestHead("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n").method == method)
  }

  @Test(
    arguments: [
      ("/", "/", nil), ("/a?", "/a", ""), ("//a", "//a", nil), ("/?a?b", "/", "a?b"),
      ("http://h/p?q", "/p", "q"), ("HTTP://h:80", "/", nil), ("http://h?q", "/", "q"),
      ("https://h/", "/", nil),
    ] as [(String, String, String?)])
  func targetsAreSplit(target: String, path: String, query: String?) throws {
    let head = try requestHead("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(text(head.path) == path)
    #expect(head.query.map(text) == query)
  }

  @Test(arguments: [
    "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost:\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "\nGET / HTTP/1.1\nhost:a\n\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1]:80\r\ncontent-length: 00\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n",
  ])
  func theseAreLetIn(request: String) throws {
    _ = try requestHead(request)
  }

  static let refused: [(String, RequestParser.Reason)] = [
    ("\r\n\r\n", .malformed), ("\u{16}\u{3}\u{1}", .malformed), ("GET / HTTP/1.1\rX", .malformed),
    ("GET /\0", .malformed), ("GET /\u{7f}", .malformed), ("GET / HTTP/1.1\r\r", .malformed),
    ("GET /\r\n\r\n", .malformed), ("GET  / HTTP/1.1\r\n\r\n", .malformed),
    (" GET / HTTP/1.1\r\n\r\n", .malformed), ("GET / HTTP/1.1 \r\n\r\n", .malformed),
    ("GET /a b HTTP/1.1\r\n\r\n", .malformed), ("GET\t/\tHTTP/1.1\r\n\r\n", .malformed),
    ("G(T / HTTP/1.1\r\n\r\n", .malformed), ("GET /a\tb HTTP/1.1\r\n\r\n", .malformed),
    ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET http://u@h/b HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", .malformed),
    ("GET / HTTP/11\r\nHost: a\r\n\r\n", .malformed),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", .malformed),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("PRI * HTTP/2.0\r\n\r\n", .unsupportedVersion),
    ("GET / HTTP/0.9\r\n\r\n", .unsupportedVersion),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\nHost: a\r\nabc\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\nHost: a\r\na\u{e9}: b\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\nHost: a\r\nx: \u{1}\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .malformed),
    ("GET / HTTP/1.1\r\n\r\n", .missingHost),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .missingHost),
    ("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", .missingHost),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", .bodyNotAllowed),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .bodyNotAllowed),
    (
      "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\nContent-Length: 5\r\n\r\n", .bodyNotAllowed
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", .bodyNotAllowed),
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\nG", .unexpectedBytes),
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", .unexpectedBytes),
  ]

  @Test(arguments: refused)
  func theseAreRefused(request: String, reason: RequestParser.Reason) {
    #expect(parseRequest(request) == .invalid(reason))
  }

  @Test func reasonsGiveTheStatus() {
    #expect(RequestParser.Reason.headTooLarge.status == 431)
    #expect(RequestParser.Reason.tooManyFields.status == 431)
    #expect(RequestParser.Reason.unsupportedVersion.status == 505)
    for reason in [RequestParser.Reason.malformed, .bodyNotAllowed, .missingHost, .unexpectedBytes]
    {
      #expect(reason.status == 400)
    }
  }
}

struct RequestLimitTests {
  static func head(fields: Int) -> String {
    let more = (1..<fields).map { "X-\($0): y\r\n" }.joined()
    return "GET / HTTP/1.1\r\nHost: a\r\n" + more + "\r\n"
  }

  /// A head of exactly that size.
  static func head(bytes: Int) -> String {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
    return start + String(repeating: "x", count: bytes - start.utf8.count - 4) + "\r\n\r\n"
  }

  @Test func aHundredFieldsAreTheMost() throws {
    #expect(try requestHead(Self.head(fields: 100)).value(of: "x-99").map(text) == "y")
    #expect(parseRequest(Self.head(fields: 101)) == .invalid(.tooManyFields))
  }

  @Test func fortyEightKibibytesAreTheMost() throws {
    #expect(try requestHead(Self.head(bytes: 49_152)).count(of: "x") == 1)
    #expect(parseRequest(Self.head(bytes: 49_153)) == .invalid(.headTooLarge))
    let part = Array(Self.head(bytes: 60_000).utf8.prefix(49_151))
    #expect(parseRequest(part) == .incomplete)
    #expect(parseRequest(part + [0x78]) == .invalid(.headTooLarge))
    #expect(parseRequest([UInt8](repeating: 0x41, count: 1 << 20)) == .invalid(.headTooLarge))
  }

  @Test func byteByByteIsAsAtOnce() {
    let requests =
      RequestParserTests.refused.map(\.0) + [Self.head(fields: 100), Self.head(bytes: 49_153)]
    for request in requests {
      let bytes = Array(request.utf8)
      var parser = RequestParser()
      var shown = 0
      var outcome = RequestParser.Outcome.incomplete
      while outcome == .incomplete && shown < bytes.count {
        shown += 1
        outcome = bytes[..<shown].withUnsafeBytes { parser.parse($0) }
      }
      #expect(outcome == parseRequest(Array(bytes[..<shown])), "\(request.prefix(60))")
    }
  }

  /// Were the head looked at from its beginning for each byte, this would take 8.6 billion steps.
  @Test func byteByByteIsLinear() {
    let bytes = Array(Self.head(bytes: 16_384).utf8)
    for _ in 0..<64 {
      var parser = RequestParser()
      let isIncomplete = bytes.withUnsafeBytes { all in
        (1..<bytes.count).allSatisfy {
          parser.parse(UnsafeRawBufferPointer(rebasing: all[..<$0])) == .incomplete
        }
      }
      #expect(isIncomplete)
    }
  }
}
