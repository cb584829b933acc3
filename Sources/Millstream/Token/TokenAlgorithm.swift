/// The algorithms that a token may be signed with (RFC 7518, 3.1; RFC 8037, 3.1).
///
/// `none` is not among them. A key has one algorithm, which its type decides: what a token says can
/// only agree with that, so a public key is never taken for a secret.
enum TokenAlgorithm: Sendable {
  case hs256, rs256, es256, edDSA

  init?(named name: JSONString) {
    if name.equals("HS256") {
      self = .hs256
    } else if name.equals("RS256") {
      self = .rs256
    } else if name.equals("ES256") {
      self = .es256
    } else if name.equals("EdDSA") {
      self = .edDSA
    } else {
      return nil
    }
  }
}
