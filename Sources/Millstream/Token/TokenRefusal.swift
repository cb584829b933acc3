/// Why a token opens nothing. Nothing of what is in the token is said.
package enum TokenRefusal: Error, Equatable {
  case missing, tooLong, malformed, algorithm, unknownKey, signature
  case expired, notYetValid, audience, issuer, claims

  /// One sentence for the client's author.
  var text: String {
    switch self {
    case .missing: "a token or a signed name is needed"
    case .tooLong: "the token is over \(CompactToken.maximumBytes) bytes"
    case .malformed: "the token is malformed"
    case .algorithm: "the token is signed with an algorithm that is not taken here"
    case .unknownKey: "the token is signed with a key that is not known here"
    case .signature: "the token's signature is not valid"
    case .expired: "the token has expired"
    case .notYetValid: "the token is not valid yet"
    case .audience: "the token is for another audience"
    case .issuer: "the token is from another issuer"
    case .claims: "the token's claims are malformed, or too many"
    }
  }
}

extension HTTPResponse {
  /// What a client gets whose token opens nothing (RFC 6750, 3).
  init(refusing refusal: TokenRefusal) {
    self = .plain(401, "Unauthorized", refusal.text)
    let error = refusal == .missing ? "" : #" error="invalid_token""#
    fields.append(("www-authenticate", "Bearer" + error))
  }

  static let notNamed = plain(403, "Forbidden", "the token does not name this stream")
}
