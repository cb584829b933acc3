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
  private let crossOrigin: CrossOrigin
  private let prefixes: [(bytes: [UInt8], store: StoreKind)]
  var names: NamePolicy

  init(configuration: EndpointConfiguration) {
    self.configuration = configuration
    crossOrigin = CrossOrigin(allowedOrigins: configuration.allowedOrigins)
    names = NamePolicy(configuration)
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

  /// What `head` gets, HEAD the same as GET; `unixTime` decides whether a signature has expired.
  func decide(_ head: RequestHead, at unixTime: Int64) -> Decision {
    let origin = originFields(head)
    switch head.method {
    case .options: return .respond(CrossOrigin.preflight(origin))
    case .post, .other: return .respond(HTTPResponse.notFound)
    case .get, .head: break
    }
    guard let target = target(of: head.path) else {
      return .respond(.notFound.adding(origin))
    }
    let grant: TokenGrant?
    do throws(TokenRefusal) {
      grant = try names.grant(of: head, at: unixTime)
    } catch {
      return refuse(error, target.store, origin)
    }
    guard let given = target.name else {
      return answerSet(head, target.store, grant, origin, at: unixTime)
    }
    let cursor = CursorRequest(head, allowsEpoch: target.store != .pgmq)
    let name: String
    switch names.name(given, in: target.store, grant, at: unixTime) {
    case .failure(.unknownName): return .respond(.notFound.adding(origin))
    case .failure(.notNamed): return .respond(.notNamed.adding(origin))
    case .failure(.noToken): return refuse(.missing, target.store, origin)
    case .success(let allowed): name = allowed
    }
    guard cursor != .invalid else { return .respond(.badCursor.adding(origin)) }
    let stream = StreamIdentity(store: target.store, name: name)
    let responseHead = HTTPResponse.streamHead(origin)
    guard var subscription = subscription(to: stream, cursor, head: responseHead) else {
      return .respond(.notFound.adding(origin))
    }
    subscription.context = grant.map(ConnectionContext.init)
    return .stream(subscription)
  }

  // MARK: Several streams

  private func answerSet(
    _ head: RequestHead, _ store: StoreKind, _ grant: TokenGrant?,
    _ origin: [(name: String, value: String)], at unixTime: Int64
  ) -> Decision {
    let query = StreamSetQuery(head.query ?? [])
    if query.wishes.isEmpty { return .respond(.notFound.adding(origin)) }
    guard query.wishes.count <= CursorVector.maximumStreams else {
      return .respond(.tooManyStreams.adding(origin))
    }
    guard let cursor = SetCursor(lastEventID: head.value(of: "last-event-id"), query: query) else {
      return .respond(.badCursor.adding(origin))
    }
    var set = SubscriptionSet(
      store: store, head: HTTPResponse.streamHead(origin), cursor: cursor)
    for wish in query.wishes { add(wish, to: &set, grant, at: unixTime) }
    if let status = set.refusal { return .respond(.refusingAll(for: status).adding(origin)) }
    return .streams(set)
  }

  /// What is refused is told in the opening: one name that is out of date does not take the others along.
  private func add(
    _ wish: StreamSetQuery.Wish, to set: inout SubscriptionSet, _ grant: TokenGrant?,
    at unixTime: Int64
  ) {
    if set.store == .native, let pattern = names.pattern(wish.name ?? [], grant, at: unixTime) {
      let from = set.cursor.request(forPatternSince: wish.since)
      guard from != .invalid else { return set.addRefused(status: 400) }
      return set.add(subscription(to: pattern, from, grant))
    }
    let name: String
    switch names.name(wish.name ?? [], in: set.store, grant, at: unixTime) {
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

  private func refuse(
    _ refusal: TokenRefusal, _ store: StoreKind, _ origin: [(name: String, value: String)]
  ) -> Decision {
    let response = HTTPResponse(refusing: refusal).adding(origin)
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

  private func subscription(
    to pattern: NamePolicy.AllowedPattern, _ cursor: CursorRequest, _ grant: TokenGrant?
  ) -> Subscription {
    var subscription = Subscription(
      store: .native, name: pattern.text, storageName: Array(pattern.text.utf8), channels: [],
      cursor: cursor, head: [], context: grant.map(ConnectionContext.init))
    subscription.isPattern = true
    subscription.isPublicPattern = pattern.isPublic
    return subscription
  }

  /// What lets a page of another origin read the answer, if it may.
  func originFields(_ head: RequestHead) -> [(name: String, value: String)] {
    crossOrigin.fields(for: head)
  }

  /// The store of a path, and what stands behind its prefix, nil: nothing, as the query names the streams;
  /// nil: the path is none of ours.
  private func target(of path: ArraySlice<UInt8>) -> (store: StoreKind, name: [UInt8]?)? {
    for prefix in prefixes where path.starts(with: prefix.bytes) {
      let rest = path.dropFirst(prefix.bytes.count)
      if rest.elementsEqual("/".utf8) || rest.isEmpty { return (prefix.store, nil) }
      // `/streams/private` is none of `/streams/p`, but may be one of `/streams`.
      guard rest.first == UInt8(ascii: "/") else { continue }
      return PercentEncoding.decode(rest.dropFirst()).map { (prefix.store, $0) }
    }
    return nil
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
}
