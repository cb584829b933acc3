/// What the endpoint serves, and to whom.
public struct EndpointConfiguration: Sendable {
  /// The prefix of PGMQ streams; nil: not served.
  public var pgmqPrefix: String? = "/pgbus/streams"
  /// The prefix of native streams; nil: not served.
  public var nativePrefix: String? = "/streams"
  /// The prefix of the streams of a store of the host's own; nil: not served.
  public var hostPrefix: String?
  /// What stands before a stream's name in the name of its PGMQ queue.
  public var queuePrefix = "pgbus"
  /// The secrets that signed names are checked against; the first signs.
  public var secrets: [[UInt8]] = []
  /// Patterns of names that need no signature; `*` stands for any run of bytes (`demo:*`).
  public var publicPatterns: [String] = []
  /// Origins whose pages may read; `*`: any.
  public var allowedOrigins: [String] = []
  /// What tokens are verified with; nil: none are taken.
  package var tokens: TokenSettings?
  /// How long a client may take until it has sent its request and was authorized, in milliseconds.
  public var headTimeoutMs: Int64 = 10_000

  /// The defaults: both prefixes, no secret, nothing public.
  public init() {}
}

/// Decides what a request gets. It does no I/O.
struct Router {
  enum Decision {
    case stream(Subscription)
    case respond(HTTPResponse)
    /// Its token is signed with a key that is not known (yet).
    case awaitKeys(orRespond: HTTPResponse)
  }

  private let configuration: EndpointConfiguration
  private let signedNames: SignedNames
  private let publicPatterns: [StreamPattern]
  private let prefixes: [(bytes: [UInt8], store: StoreKind)]
  var tokens: TokenVerifier?

  init(configuration: EndpointConfiguration) {
    self.configuration = configuration
    signedNames = SignedNames(secrets: configuration.secrets)
    publicPatterns = configuration.publicPatterns.map { StreamPattern($0) }
    tokens = configuration.tokens.map(TokenVerifier.init)
    let given = [
      (configuration.pgmqPrefix, StoreKind.pgmq), (configuration.nativePrefix, StoreKind.native),
      (configuration.hostPrefix, StoreKind.host),
    ]
    // The longer prefix first, so that one may lie within the other.
    prefixes = given.compactMap { prefix, store in
      prefix.map { (bytes: Router.withoutTrailingSlash(Array($0.utf8)), store: store) }
    }.sorted { $0.bytes.count > $1.bytes.count }
  }

  private static func withoutTrailingSlash(_ prefix: [UInt8]) -> [UInt8] {
    prefix.last == UInt8(ascii: "/") ? Array(prefix.dropLast()) : prefix
  }

  /// What `head` gets; `unixTime` decides whether a signature has expired.
  func decide(_ head: RequestHead, at unixTime: Int64) -> Decision {
    switch answer(head, at: unixTime) {
    case .respond(var response) where head.method == .head:
      response.isHeadOnly = true
      return .respond(response)
    case .awaitKeys(var response) where head.method == .head:
      response.isHeadOnly = true
      return .awaitKeys(orRespond: response)
    case let decision: return decision
    }
  }

  private func answer(_ head: RequestHead, at unixTime: Int64) -> Decision {
    let origin = originFields(head)
    switch head.method {
    case .options: return .respond(options(origin))
    case .post, .other: return .respond(HTTPResponse.notFound)
    case .get, .head: break
    }
    guard let target = target(of: head.path) else {
      return .respond(adding(origin, to: .notFound))
    }
    let cursor = CursorRequest(head, allowsEpoch: target.store != .pgmq)
    let grant: TokenGrant?
    do throws(TokenRefusal) {
      grant = try self.grant(of: head, at: unixTime)
    } catch {
      return refuse(error, origin)
    }
    let name: String
    switch self.name(target.name, grant, at: unixTime) {
    case .failure(.unknownName): return .respond(adding(origin, to: .notFound))
    case .failure(.notNamed): return .respond(adding(origin, to: .notNamed))
    case .failure(.noToken): return refuse(.missing, origin)
    case .success(let allowed): name = allowed
    }
    guard cursor != .invalid else { return .respond(adding(origin, to: .badCursor)) }
    let stream = StreamIdentity(store: target.store, name: name)
    let responseHead = HTTPResponse.streamHead(origin)
    guard var subscription = subscription(to: stream, cursor, head: responseHead) else {
      return .respond(adding(origin, to: .notFound))
    }
    if head.method == .head { return .respond(streamHeadOnly(origin)) }
    subscription.context = grant.map(ConnectionContext.init)
    return .stream(subscription)
  }

  private func refuse(
    _ refusal: TokenRefusal, _ origin: [(name: String, value: String)]
  ) -> Decision {
    let response = adding(origin, to: HTTPResponse(refusing: refusal))
    return refusal == .unknownKey ? .awaitKeys(orRespond: response) : .respond(response)
  }

  /// What an instance has to know to serve a stream; nil: the store can have none of this name.
  func subscription(
    to stream: StreamIdentity, _ cursor: CursorRequest, head: [UInt8]
  ) -> Subscription? {
    guard let target = target(stream.store, stream.name) else { return nil }
    return Subscription(
      store: stream.store, name: stream.name, storageName: target.storageName,
      channels: target.channels, cursor: cursor, head: head)
  }

  /// The name in a signed name; nil if it was not signed with one of the secrets.
  func verify(_ signedName: String, at unixTime: Int64) -> String? {
    signedNames.verify(Array(signedName.utf8), at: unixTime)
  }

  /// The name, signed with the first secret; nil without one.
  func sign(_ name: String) -> String? { signedNames.sign(name) }

  // MARK: Names

  /// The store of a path, and what stands behind its prefix; nil: there is none of the one or the other.
  private func target(of path: ArraySlice<UInt8>) -> (store: StoreKind, name: [UInt8])? {
    for prefix in prefixes where path.starts(with: prefix.bytes) {
      let rest = path.dropFirst(prefix.bytes.count)
      guard rest.first == UInt8(ascii: "/"), rest.count > 1,
        let decoded = PercentEncoding.decode(rest.dropFirst())
      else { return nil }
      return (prefix.store, decoded)
    }
    return nil
  }

  /// Why a name is not served.
  private enum NameRefusal: Error { case unknownName, notNamed, noToken }

  /// The name, if it is public, or signed, or one that the token opens.
  private func name(
    _ given: [UInt8], _ grant: TokenGrant?, at unixTime: Int64
  ) -> Result<String, NameRefusal> {
    if let name = publicName(given) ?? signedNames.verify(given, at: unixTime) {
      return .success(name)
    }
    guard tokens != nil, let name = StreamName.validated(given) else {
      return .failure(.unknownName)
    }
    guard let grant else { return .failure(.noToken) }
    return grant.opens(given) ? .success(name) : .failure(.notNamed)
  }

  /// What the request's token gives; nil: there is none, or none are taken. A token that is there has to
  /// be valid, also where the name alone would do: without it the client would miss what only it opens.
  private func grant(
    of head: RequestHead, at unixTime: Int64
  ) throws(TokenRefusal) -> TokenGrant? {
    guard let tokens, let token = try head.token() else { return nil }
    return try tokens.verify(token, at: unixTime)
  }

  private func publicName(_ bytes: [UInt8]) -> String? {
    guard let name = StreamName.validated(bytes) else { return nil }
    return publicPatterns.contains { $0.matches(bytes) } ? name : nil
  }

  private func target(
    _ store: StoreKind, _ name: String
  ) -> (storageName: [UInt8], channels: [String])? {
    switch store {
    case .native: return (Array(name.utf8), [NativeSchema.channel])
    case .host: return (Array(name.utf8), [])
    case .pgmq:
      guard let queue = QueueName(stream: name, prefix: configuration.queuePrefix) else {
        return nil
      }
      let channels = [queue.channel] + (queue.channelAsGiven.map { [$0] } ?? [])
      return (Array(queue.tableSuffix.utf8), channels)
    }
  }

  // MARK: Headers

  /// What lets a page of another origin read the answer, if it may.
  private func originFields(_ head: RequestHead) -> [(name: String, value: String)] {
    guard !configuration.allowedOrigins.isEmpty, let bytes = head.value(of: "origin") else {
      return []
    }
    let origin = String(decoding: bytes, as: UTF8.self)
    if configuration.allowedOrigins.contains(origin) {
      return [
        ("access-control-allow-origin", origin), ("access-control-allow-credentials", "true"),
        ("vary", "origin"),
      ]
    }
    return configuration.allowedOrigins.contains("*") ? [("access-control-allow-origin", "*")] : []
  }

  private func options(_ origin: [(name: String, value: String)]) -> HTTPResponse {
    var response = HTTPResponse(
      status: 204, reason: "No Content", fields: [("allow", "GET, HEAD, OPTIONS")], hasBody: false)
    guard !origin.isEmpty else { return response }
    response.fields += origin
    response.fields += [
      ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
      ("access-control-allow-headers", "last-event-id, cache-control, authorization"),
      ("access-control-max-age", "86400"),
    ]
    return response
  }

  private func streamHeadOnly(_ origin: [(name: String, value: String)]) -> HTTPResponse {
    HTTPResponse(
      status: 200, reason: "OK",
      fields: [
        ("content-type", "text/event-stream"), ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
      ] + origin, hasBody: false)
  }

  private func adding(
    _ fields: [(name: String, value: String)], to response: HTTPResponse
  ) -> HTTPResponse {
    var response = response
    response.fields += fields
    return response
  }
}
