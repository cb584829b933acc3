/// What tokens have to agree with.
package struct TokenSettings: Sendable {
  /// One of these has signed it. They may come later, see `Endpoint.tokenKeysCame`.
  package var keys: [TokenKey]
  /// The audience that has to be among the token's; nil: tokens for an audience are refused.
  package var audience: String?
  /// The issuer that the token has to name; nil: any will do.
  package var issuer: String?

  package init(keys: [TokenKey], audience: String? = nil, issuer: String? = nil) {
    self.keys = keys
    self.audience = audience
    self.issuer = issuer
  }
}

/// What a valid token gives to who shows it.
struct TokenGrant {
  var member: String?
  /// What others are shown of it: a JSON object.
  var metadata: String?
  var labels: Set<String> = []
  /// Of the streams that it opens.
  var patterns: [StreamPattern] = []
  /// When that ends, in seconds since 1970; nil: never.
  var endsAt: Int64?
}

/// Verifies tokens. It does no I/O.
struct TokenVerifier {
  /// How far the clock of who signs may be from ours.
  static let leewaySeconds: Int64 = 30

  var keys: [TokenKey]
  private let audience: [UInt8]?
  private let issuer: [UInt8]?

  init(_ settings: TokenSettings) {
    keys = settings.keys
    audience = settings.audience.map { Array($0.utf8) }
    issuer = settings.issuer.map { Array($0.utf8) }
  }

  /// What the token gives at `unixTime`.
  func verify(_ token: [UInt8], at unixTime: Int64) throws(TokenRefusal) -> TokenGrant {
    let token = try CompactToken(token)
    try checkSignature(of: token)
    guard let claims = token.payload.withUnsafeBytes({ TokenClaims($0) }) else { throw .claims }
    try check(claims, at: unixTime)
    return TokenGrant(
      member: claims.subject, metadata: claims.metadata, labels: claims.labels,
      patterns: claims.streams.map { StreamPattern(String(decoding: $0, as: UTF8.self)) },
      endsAt: claims.expiresAt.map { TokenVerifier.end(of: $0, at: unixTime) })
  }

  /// A token that the leeway alone keeps valid is not closed at once.
  private static func end(of expiry: Int64, at unixTime: Int64) -> Int64 {
    unixTime < expiry ? expiry : expiry + leewaySeconds
  }

  /// Nothing of the payload is looked at before one of the keys vouches for it.
  private func checkSignature(of token: CompactToken) throws(TokenRefusal) {
    let candidates = try candidates(for: token)
    if candidates.contains(where: { $0.verifies(token.signature, of: token.signed) }) { return }
    // Those without a name were tried on the chance: the one that it names may be still to come.
    throw token.keyID != nil && candidates.allSatisfy { $0.id == nil } ? .unknownKey : .signature
  }

  /// A key that the token names, or one without a name, in which case all of the algorithm are tried.
  private func candidates(for token: CompactToken) throws(TokenRefusal) -> [TokenKey] {
    if let keyID = token.keyID {
      let named = keys.filter { $0.id == keyID }
      if !named.isEmpty {
        let fitting = named.filter { $0.algorithm == token.algorithm }
        if fitting.isEmpty { throw .algorithm }
        return fitting
      }
    }
    let fitting = keys.filter {
      $0.algorithm == token.algorithm && ($0.id == nil || token.keyID == nil)
    }
    guard fitting.isEmpty else { return fitting }
    throw token.keyID != nil || keys.isEmpty ? .unknownKey : .algorithm
  }

  private func check(_ claims: TokenClaims, at unixTime: Int64) throws(TokenRefusal) {
    if let expiry = claims.expiresAt, unixTime >= expiry + TokenVerifier.leewaySeconds {
      throw .expired
    }
    if let start = claims.notBefore, unixTime < start - TokenVerifier.leewaySeconds {
      throw .notYetValid
    }
    if let issuer, claims.issuer != issuer { throw .issuer }
    switch (audience, claims.audience) {
    case (nil, nil): break
    case (let ours?, let theirs?) where theirs.contains(ours): break
    // Whoever is not among those that a token names must not take it (RFC 7519, 4.1.3).
    default: throw .audience
    }
  }
}
