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
  /// How many connections it lets in.
  public var limits = ConnectionLimits()
  /// Proxies that are believed about where a client is from. Without any, it is where its connection is from.
  public var trustedProxies: [TrustedProxy] = []
  /// Which clients come back by themselves when they are refused temporarily.
  public var refusesSoftly = SoftRefusals.native
  /// How long a client may take until it has sent its request and was authorized, in milliseconds.
  public var headTimeoutMs: Int64 = 10_000

  /// The defaults: both prefixes, no secret, nothing public.
  public init() {}
}

/// Decides what a request gets. It does no I/O.
struct Router {
  enum Decision {
    case stream(Subscription)
    case streams(SubscriptionSet)
    case respond(HTTPResponse)
    /// Its token is signed with a key that is not known (yet).
    case awaitKeys(StoreKind, orRespond: HTTPResponse)
  }

  private let configuration: EndpointConfiguration
  private let signedNames: SignedNames
  private let signedPatterns: SignedNames
  private let publicPatterns: [StreamPattern]
  private let prefixes: [(bytes: [UInt8], store: StoreKind)]
  var tokens: TokenVerifier?

  init(configuration: EndpointConfiguration) {
    self.configuration = configuration
    signedNames = SignedNames(secrets: configuration.secrets)
    signedPatterns = SignedNames(
      secrets: configuration.secrets, purpose: SignedNames.patternPurpose)
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
    case .awaitKeys(let store, var response) where head.method == .head:
      response.isHeadOnly = true
      return .awaitKeys(store, orRespond: response)
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
    let grant: TokenGrant?
    do throws(TokenRefusal) {
      grant = try self.grant(of: head, at: unixTime)
    } catch {
      return refuse(error, target.store, origin)
    }
    guard let given = target.name else {
      return answerSet(head, target.store, grant, origin, at: unixTime)
    }
    let cursor = CursorRequest(head, allowsEpoch: target.store != .pgmq)
    let name: String
    switch self.name(given, grant, at: unixTime) {
    case .failure(.unknownName): return .respond(adding(origin, to: .notFound))
    case .failure(.notNamed): return .respond(adding(origin, to: .notNamed))
    case .failure(.noToken): return refuse(.missing, target.store, origin)
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

  // MARK: Several streams

  private func answerSet(
    _ head: RequestHead, _ store: StoreKind, _ grant: TokenGrant?,
    _ origin: [(name: String, value: String)], at unixTime: Int64
  ) -> Decision {
    let query = StreamSetQuery(head.query ?? [])
    if query.wishes.isEmpty { return .respond(adding(origin, to: .notFound)) }
    guard query.wishes.count <= CursorVector.maximumStreams else {
      return .respond(adding(origin, to: .tooManyStreams))
    }
    guard let cursor = SetCursor(lastEventID: head.value(of: "last-event-id"), query: query) else {
      return .respond(adding(origin, to: .badCursor))
    }
    var set = SubscriptionSet(
      store: store, head: HTTPResponse.streamHead(origin), cursor: cursor)
    for wish in query.wishes { add(wish, to: &set, grant, at: unixTime) }
    if let status = set.refusal { return .respond(adding(origin, to: .refusingAll(for: status))) }
    return head.method == .head ? .respond(streamHeadOnly(origin)) : .streams(set)
  }

  /// What is refused is told in the opening: one name that is out of date does not take the others along.
  private func add(
    _ wish: StreamSetQuery.Wish, to set: inout SubscriptionSet, _ grant: TokenGrant?,
    at unixTime: Int64
  ) {
    if var pattern = pattern(wish.name ?? [], set.store, grant, at: unixTime) {
      pattern.cursor = set.cursor.request(forPatternSince: wish.since)
      return pattern.cursor == .invalid ? set.addRefused(status: 400) : set.add(pattern)
    }
    let name: String
    switch self.name(wish.name ?? [], grant, at: unixTime) {
    case .failure(.unknownName): return set.addRefused(status: 404)
    case .failure(.notNamed): return set.addRefused(status: 403)
    case .failure(.noToken): return set.addRefused(status: 401)
    case .success(let allowed): name = allowed
    }
    let from = set.cursor.request(for: name, since: wish.since, allowsEpoch: set.store != .pgmq)
    guard from != .invalid else { return set.addRefused(status: 400) }
    let stream = StreamIdentity(store: set.store, name: name)
    guard var subscription = subscription(to: stream, from, head: []) else {
      return set.addRefused(status: 404)
    }
    subscription.context = grant.map(ConnectionContext.init)
    set.add(subscription)
  }

  /// A pattern of native streams, where it is signed as one, or where a public pattern or one of the token's
  /// fits all that it does. A name that was signed as such stays one, whatever is in it.
  private func pattern(
    _ given: [UInt8], _ store: StoreKind, _ grant: TokenGrant?, at unixTime: Int64
  ) -> Subscription? {
    guard store == .native else { return nil }
    let signed = signedPatterns.verify(Router.unblanked(given), at: unixTime)
    guard let text = signed ?? StreamName.validated(given), text.utf8.contains(UInt8(ascii: "*"))
    else { return nil }
    let isVouchedFor = signed != nil || (tokens != nil && grant?.opens(given) == true)
    guard isVouchedFor || publicName(given) != nil else { return nil }
    var subscription = Subscription(
      store: .native, name: text, storageName: Array(text.utf8), channels: [], cursor: .none,
      head: [], context: grant.map(ConnectionContext.init))
    subscription.isPattern = true
    subscription.isPublicPattern = !isVouchedFor
    return subscription
  }

  /// Nothing that is signed has a blank: in a query it was a plus.
  private static func unblanked(_ given: [UInt8]) -> [UInt8] {
    given.map { $0 == ASCII.space ? UInt8(ascii: "+") : $0 }
  }

  private func refuse(
    _ refusal: TokenRefusal, _ store: StoreKind, _ origin: [(name: String, value: String)]
  ) -> Decision {
    let response = adding(origin, to: HTTPResponse(refusing: refusal))
    return refusal == .unknownKey ? .awaitKeys(store, orRespond: response) : .respond(response)
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

  /// The store of a path, and what stands behind its prefix, nil: nothing, as the query names the streams;
  /// nil: the path is none of ours.
  private func target(of path: ArraySlice<UInt8>) -> (store: StoreKind, name: [UInt8]?)? {
    for prefix in prefixes where path.starts(with: prefix.bytes) {
      let rest = path.dropFirst(prefix.bytes.count)
      if rest.elementsEqual("/".utf8) || rest.isEmpty { return (prefix.store, nil) }
      guard rest.first == UInt8(ascii: "/"), let decoded = PercentEncoding.decode(rest.dropFirst())
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
    if let name = publicName(given) ?? signedNames.verify(Router.unblanked(given), at: unixTime) {
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
  func originFields(_ head: RequestHead) -> [(name: String, value: String)] {
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
