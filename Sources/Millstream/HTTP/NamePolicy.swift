/// Which streams a request may name: those that are public, that are signed, or that its token opens.
struct NamePolicy {
  private let signedNames: SignedNames
  private let signedPatterns: SignedNames
  private let publicPatterns: [StreamPattern]
  private let queuePrefix: String
  /// What tokens are verified with; nil: none are taken.
  var tokens: TokenVerifier?

  init(_ configuration: EndpointConfiguration) {
    signedNames = SignedNames(secrets: configuration.secrets)
    signedPatterns = SignedNames(
      secrets: configuration.secrets, purpose: SignedNames.patternPurpose)
    publicPatterns = configuration.publicPatterns.map { StreamPattern($0) }
    queuePrefix = configuration.queuePrefix
    tokens = configuration.tokens.map(TokenVerifier.init)
  }

  /// The name in a signed name; nil if it was not signed with one of the secrets.
  func verify(_ signedName: [UInt8], at unixTime: Int64) -> String? {
    signedNames.verify(signedName, at: unixTime)
  }

  /// The name, signed with the first secret; nil without one.
  func sign(_ name: String) -> String? { signedNames.sign(name) }

  /// What the request's token gives; nil: there is none, or none are taken. A token that is there has to
  /// be valid, also where the name alone would do: without it the client would miss what only it opens.
  func grant(of head: RequestHead, at unixTime: Int64) throws(TokenRefusal) -> TokenGrant? {
    guard let tokens, let token = try head.token() else { return nil }
    return try tokens.verify(token, at: unixTime)
  }

  /// Why a name is not served.
  enum Refusal: Error { case unknownName, notNamed, noToken }

  /// The name, if it is public, or signed, or one that the token opens.
  func name(
    _ given: [UInt8], in store: StoreKind, _ grant: TokenGrant?, at unixTime: Int64
  ) -> Result<String, Refusal> {
    let plain = StreamName.validated(given)
    if let plain, publicPatterns.contains(where: { opens($0, given, in: store) }) {
      return .success(plain)
    }
    if let name = signedNames.verify(Self.unblanked(given), at: unixTime) { return .success(name) }
    guard tokens != nil, let plain else { return .failure(.unknownName) }
    guard let grant else { return .failure(.noToken) }
    let isNamed = grant.patterns.contains { opens($0, given, in: store) }
    return isNamed ? .success(plain) : .failure(.notNamed)
  }

  /// A queue's name keeps less than the stream's: where bytes would be left out, it may be the queue of a stream
  /// that does not fit at all (`orders:` is `orders`), and only who names it without a star has meant that.
  private func opens(_ pattern: StreamPattern, _ name: [UInt8], in store: StoreKind) -> Bool {
    guard pattern.matches(name) else { return false }
    if store != .pgmq || pattern.isLiteral { return true }
    let queue = QueueName(stream: String(decoding: name, as: UTF8.self), prefix: queuePrefix)
    return queue?.name.utf8.count == queuePrefix.utf8.count + 1 + name.count
  }

  /// A pattern of streams that may be had.
  struct AllowedPattern {
    let text: String
    /// Nothing but a public pattern allows it.
    let isPublic: Bool
  }

  /// A pattern, where it is signed as one, or where a public pattern or one of the token's fits all that it
  /// does. A name that was signed as such stays one, whatever is in it.
  func pattern(_ given: [UInt8], _ grant: TokenGrant?, at unixTime: Int64) -> AllowedPattern? {
    let signed = signedPatterns.verify(Self.unblanked(given), at: unixTime)
    guard let text = signed ?? StreamName.validated(given), text.utf8.contains(UInt8(ascii: "*"))
    else { return nil }
    let named = tokens == nil ? [] : grant?.patterns ?? []
    let isVouchedFor = signed != nil || named.contains { $0.matches(given) }
    guard isVouchedFor || publicPatterns.contains(where: { $0.matches(given) }) else { return nil }
    return AllowedPattern(text: text, isPublic: !isVouchedFor)
  }

  /// Nothing that is signed has a blank: in a query it was a plus.
  private static func unblanked(_ given: [UInt8]) -> [UInt8] {
    given.map { $0 == ASCII.space ? UInt8(ascii: "+") : $0 }
  }
}
