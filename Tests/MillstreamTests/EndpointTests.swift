import Glibc
import Logging
import Testing

@testable import Millstream

/// The endpoint on a real loop and a real socket: what the hooks decide.
@Suite struct EndpointTests {
  private let loop: EventLoop
  private let instance: Instance
  private let endpoint: Endpoint
  private let path = "/tmp/millstream-test-\(UInt64.random(in: 0...UInt64.max)).sock"

  init() throws {
    loop = try EventLoop()
    var configuration = Configuration()
    configuration.database = "host=/nonexistent dbname=none"
    var served = EndpointConfiguration()
    served.publicPatterns = ["*"]
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    instance = try Instance(loop: loop, configuration: configuration, logger: logger)
    endpoint = Endpoint(loop: loop, instance: instance, configuration: served, logger: logger)
    instance.start()
    endpoint.start(on: try ListenAddress("unix:\(path)").listen())
  }

  @Test func whoeverMayNotListenIsForbidden() throws {
    endpoint.authorize = { question in
      let isMine = question.stream.name == "mine" && question.request.field("Cookie") == "me"
      question.answer(isMine ? .allow() : .forbid)
    }
    #expect(
      try answer(to: "other").hasPrefix("HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\n"))
    #expect(try answer(to: "mine", fields: "Cookie: me\r\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(try answer(to: "mine").hasPrefix("HTTP/1.1 403 "))
  }

  /// `room:1*` is no room, but all that begin so.
  @Test func aHookThatKnowsNothingOfPatternsIsNotAskedAboutThem() throws {
    var asked: [String] = []
    endpoint.authorize = { question in
      asked.append(question.stream.name)
      question.answer(.allow())
    }
    #expect(try answer(to: "?s=room:1*").hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
    #expect(asked.isEmpty)
    endpoint.authorizesPatterns = true
    let client = try ask(for: "?s=room:1*")
    while instance.connectionCount == 0 { loop.runOnce() }
    #expect(asked == ["room:1*"])
    close(client)
  }

  @Test func faultInsideLeaksNothing() throws {
    endpoint.authorize = { $0.answer(.fault) }
    let answer = try answer(to: "any")
    #expect(answer.hasPrefix("HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\n"))
  }

  /// Nobody is let in to be closed at once, again and again.
  @Test func whoseEndHasPassedIsForbidden() throws {
    let now = Clock.system.unixSeconds
    for end in [now, now - 1, 0, .min] {
      endpoint.authorize = { $0.answer(.allow(ConnectionContext(expiresAt: end))) }
      #expect(try answer(to: "any").hasPrefix("HTTP/1.1 403 "))
    }
    endpoint.authorize = { $0.answer(.allow(ConnectionContext(expiresAt: now + 3_600))) }
    #expect(try answer(to: "any").hasPrefix("HTTP/1.1 200 OK\r\n"))
  }

  @Test func theAnswerMayComeLater() throws {
    var asked: [AuthorizationQuestion] = []
    endpoint.authorize = { asked.append($0) }
    let client = try ask(for: "any")
    defer { close(client) }
    while asked.isEmpty { loop.runOnce() }
    #expect(asked[0].answer(.allow()))
    #expect(!asked[0].answer(.forbid), "only the first answer counts")
    #expect(received(client).hasPrefix("HTTP/1.1 200 OK\r\n"))
  }

  @Test func whoeverHasGoneIsNotLetIn() throws {
    var asked: [AuthorizationQuestion] = []
    endpoint.authorize = { asked.append($0) }
    let client = try ask(for: "any")
    while asked.isEmpty { loop.runOnce() }
    close(client)
    for _ in 0..<10 { loop.runOnce() }
    #expect(!asked[0].answer(.allow()))
    #expect(instance.connectionCount == 0)
  }

  /// The steps: the application says yes, the right is withdrawn, the member is closed, the yes arrives.
  @Test(arguments: ["any", "?s=any&s=other", "?s=an*"])
  func anAnswerFromBeforeACloseIsNotTheLastWord(name: String) throws {
    let closes: [(Instance) -> Void] = [
      { $0.close(member: "ann") },
      { $0.close(StreamIdentity(store: .native, name: "any")) },
      { [endpoint] _ in endpoint.reconfigure(everythingIsPublic()) },
    ]
    endpoint.authorizesPatterns = true
    for close in closes {
      var asked: [AuthorizationQuestion] = []
      endpoint.authorize = { asked.append($0) }
      let client = try ask(for: name)
      let count = name.contains("&") ? 2 : 1
      while asked.count < count { loop.runOnce() }
      close(instance)
      #expect(asked[0].isOvertaken(.allow(ConnectionContext(member: "ann"))))
      #expect(!asked[0].isOvertaken(.forbid))
      for question in asked[..<count] {
        #expect(question.answer(.allow(ConnectionContext(member: "ann"))))
      }
      #expect(asked.count == 2 * count, "it is asked again")
      for question in asked[count...] { #expect(question.answer(.forbid)) }
      #expect(received(client).hasPrefix("HTTP/1.1 403 "))
      Glibc.close(client)
    }
    #expect(instance.connectionCount == 0)
  }

  @Test func theClosesOfOthersAreNothingToAnAnswer() throws {
    var asked: [AuthorizationQuestion] = []
    endpoint.authorize = { asked.append($0) }
    let client = try ask(for: "any")
    defer { close(client) }
    while asked.isEmpty { loop.runOnce() }
    instance.close(member: "bob")
    instance.close(StreamIdentity(store: .native, name: "other"))
    instance.close(StreamIdentity(store: .pgmq, name: "any"))
    #expect(asked[0].answer(.allow(ConnectionContext(member: "ann"))))
    #expect(asked.count == 1)
    #expect(received(client).hasPrefix("HTTP/1.1 200 OK\r\n"))
  }

  /// An application may close the others of a member whenever it lets another in.
  @Test func itIsAskedAgainOnce() throws {
    var asked: [AuthorizationQuestion] = []
    endpoint.authorize = { asked.append($0) }
    let client = try ask(for: "any")
    defer { close(client) }
    for count in 1...2 {
      while asked.count < count { loop.runOnce() }
      instance.close(member: "ann")
      #expect(asked[count - 1].answer(.allow(ConnectionContext(member: "ann"))))
    }
    #expect(asked.count == 2)
    #expect(received(client).hasPrefix("HTTP/1.1 200 OK\r\n"))
  }

  private func everythingIsPublic() -> EndpointConfiguration {
    var configuration = EndpointConfiguration()
    configuration.publicPatterns = ["*"]
    return configuration
  }

  /// Whoever waits for keys and goes leaves nothing until they come: its head may have 48 KiB.
  @Test func whoeverHasGoneDoesNotWaitForKeys() throws {
    var configuration = EndpointConfiguration()
    configuration.tokens = TokenSettings(keys: [], audience: nil, issuer: nil)
    endpoint.reconfigure(configuration)
    endpoint.fetchesTokenKeys = { true }
    // {"alg":"RS256","kid":"x"} and {}
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA"
    let client = try ask(for: "any", fields: "Authorization: Bearer \(token)\r\n")
    while endpoint.waitingForKeysCount == 0 { loop.runOnce() }
    close(client)
    for _ in 0..<10 where endpoint.waitingForKeysCount > 0 { loop.runOnce() }
    #expect(endpoint.waitingForKeysCount == 0)
  }

  /// Anybody can make up a token that names a key that nobody knows.
  @Test func whoeverWaitsForKeysHasAPlaceOfItsAddress() throws {
    var configuration = everythingIsPublic()
    configuration.tokens = TokenSettings(keys: [], audience: nil, issuer: nil)
    configuration.trustedProxies = [try TrustedProxy("unix")]
    configuration.limits.perAddress = 2
    configuration.refusesSoftly = .never
    endpoint.reconfigure(configuration)
    endpoint.fetchesTokenKeys = { true }
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA"
    let fields = "X-Forwarded-For: 192.0.2.1\r\nAuthorization: Bearer \(token)\r\n"
    let waiting = try (0..<2).map { _ in try ask(for: "any", fields: fields) }
    while endpoint.waitingForKeysCount < 2 { loop.runOnce() }
    #expect(try answer(to: "any", fields: fields).hasPrefix("HTTP/1.1 429 "))
    endpoint.tokenKeysCame([])
    for client in waiting {
      #expect(received(client).hasPrefix("HTTP/1.1 503 "))
      close(client)
    }
    while endpoint.counts.keyCount > 0 { loop.runOnce() }
  }

  /// As when SIGHUP brings them: whoever is there stays, and is counted if there was a limit before.
  @Test func limitsCanComeAndChange() throws {
    endpoint.authorize = { $0.answer(.allow(ConnectionContext(member: "ann"))) }
    var configuration = everythingIsPublic()
    configuration.refusesSoftly = .never
    configuration.limits.perMember = 1
    endpoint.reconfigure(configuration)
    let first = try ask(for: "any")
    #expect(received(first).hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(try answer(to: "any").hasPrefix("HTTP/1.1 429 Too Many Requests\r\n"))
    configuration.limits.perMember = 2
    endpoint.reconfigure(configuration)
    let second = try ask(for: "any")
    #expect(received(second).hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(try answer(to: "any").hasPrefix("HTTP/1.1 429 "))
    #expect(instance.statistics.refused(.member) == 2)
    close(first)
    while instance.connectionCount > 1 { loop.runOnce() }
    #expect(endpoint.counts.count(of: .member(Array("ann".utf8))) == 1)
    close(second)
    while endpoint.counts.keyCount > 0 { loop.runOnce() }
  }

  private func answer(to name: String, fields: String = "") throws -> String {
    let client = try ask(for: name, fields: fields)
    defer { close(client) }
    return received(client)
  }

  private func ask(for name: String, fields: String = "") throws -> Int32 {
    let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let outcome = withUnsafePointer(to: &address) {
      connect(
        client, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    try #require(outcome == 0)
    let request = Array("GET /streams/\(name) HTTP/1.1\r\nHost: x\r\n\(fields)\r\n".utf8)
    try #require(send(client, request, request.count, 0) == request.count)
    return client
  }

  private func received(_ client: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let deadline = Clock.system.monotonicMs + 20_000
    while Clock.system.monotonicMs < deadline {
      loop.runOnce()
      let count = recv(client, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { return String(decoding: buffer[..<count], as: UTF8.self) }
    }
    return "nothing"
  }
}
