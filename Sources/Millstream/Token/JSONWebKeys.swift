import CLibCrypto

extension TokenKey {
  /// The largest JSON Web Key Set, in bytes.
  package static let maximumSetBytes = 256 * 1024

  /// Reads a JSON Web Key Set (RFC 7517). Keys of other kinds and uses are left out, and those that are
  /// not in order, as section 5 asks. `allowsSecrets`: whether one may hold secrets, which a set that
  /// everybody can read cannot.
  package static func keys(
    fromJWKS text: [UInt8], allowsSecrets: Bool
  ) throws(TokenKeyError) -> [TokenKey] {
    guard text.count <= maximumSetBytes else { throw .setTooLong }
    guard let (keys, count) = text.withUnsafeBytes({ keys(in: $0, allowsSecrets) }) else {
      throw .notJWKS
    }
    guard count > 0 else { throw .emptySet }
    guard !keys.isEmpty else { throw .noKey }
    guard keys.count <= maximumKeys else { throw .tooManyKeys }
    return keys
  }

  /// Those that can be used, and how many there are in all.
  private static func keys(
    in text: UnsafeRawBufferPointer, _ allowsSecrets: Bool
  ) -> (keys: [TokenKey], count: Int)? {
    guard let members = JSONUniqueMembers.members(of: text),
      let list = members.first(where: { ASCII.equals($0.name, "keys") })?.value,
      var elements = JSONElements(of: list.raw)
    else { return nil }
    var keys: [TokenKey] = []
    var count = 0
    while true {
      switch elements.next() {
      case .end: return (keys, count)
      case .malformed: return nil
      case .element(let value):
        count += 1
        if let key = JSONWebKey(value)?.key(allowsSecrets) { keys.append(key) }
      }
    }
  }
}

/// One key of a set, as text. A member that is not text counts as missing, but for lists of operations.
private struct JSONWebKey {
  private var texts: [[UInt8]: JSONString] = [:]
  private var operations: [[UInt8]]?

  init?(_ value: JSONValue) {
    guard let members = JSONUniqueMembers.members(of: value.raw) else { return nil }
    for (name, value) in members {
      if ASCII.equals(name, "key_ops") {
        guard let list = value.texts(atMost: 16) else { return nil }
        operations = list
      }
      texts[name] = value.string
    }
  }

  func key(_ allowsSecrets: Bool) -> TokenKey? {
    guard verifies, let type = texts[Array("kty".utf8)] else { return nil }
    let id = texts[Array("kid".utf8)]?.unescaped()
    let key: TokenKey?
    if type.equals("oct") {
      guard allowsSecrets, let secret = bytes("k"), !secret.isEmpty else { return nil }
      key = TokenKey(secret: secret, id: id)
    } else {
      key = PublicKey(publicKey(type)).map { TokenKey($0, id: id) }
    }
    guard let key, agrees(with: key.algorithm) else { return nil }
    return key
  }

  /// Whether it is there for verifying signatures (RFC 7517, 4.2 and 4.3).
  private var verifies: Bool {
    if let use = texts[Array("use".utf8)], !use.equals("sig") { return false }
    return operations?.contains(Array("verify".utf8)) ?? true
  }

  private func agrees(with algorithm: TokenAlgorithm) -> Bool {
    guard let name = texts[Array("alg".utf8)] else { return true }
    return TokenAlgorithm(named: name) == algorithm
  }

  private func publicKey(_ type: JSONString) -> OpaquePointer? {
    if type.equals("RSA"), let modulus = bytes("n"), let exponent = bytes("e") {
      return ms_rsa_key(modulus, modulus.count, exponent, exponent.count)
    }
    let curve = texts[Array("crv".utf8)]
    if type.equals("EC"), curve?.equals("P-256") == true, let x = bytes("x"), let y = bytes("y"),
      x.count == 32, y.count == 32
    {
      return ms_p256_key([4] + x + y, 65)
    }
    if type.equals("OKP"), curve?.equals("Ed25519") == true, let x = bytes("x"), x.count == 32 {
      return ms_ed25519_key(x, x.count)
    }
    return nil
  }

  private func bytes(_ name: String) -> [UInt8]? {
    texts[Array(name.utf8)]?.unescaped().flatMap { Base64URL.decode($0) }
  }
}
