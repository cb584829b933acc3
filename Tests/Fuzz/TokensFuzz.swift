@testable import Millstream

private let secret = Array("a secret of at least 32 bytes, as it should be".utf8)
private let verifier = TokenVerifier(
  TokenSettings(keys: [TokenKey(secret: secret), TokenKey(secret: secret, id: Array("a".utf8))]))

/// Any bytes, as a token, as each part of one that is signed correctly, and as a file of keys.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTokens(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  // What somebody makes up without the secret opens nothing.
  precondition((try? verifier.verify(bytes, at: 1_000)) == nil, "a forged token was let in")
  checkRoundTrips(bytes)
  checkGrant(signed(header: Array(#"{"alg":"HS256"}"#.utf8), payload: bytes))
  checkGrant(signed(header: bytes, payload: Array("{}".utf8)))
  checkKeys(bytes)
  return 0
}

private func signed(header: [UInt8], payload: [UInt8]) -> [UInt8] {
  let head = Base64URL.encode(header) + [UInt8(ascii: ".")] + Base64URL.encode(payload)
  let mac = TokenKey.mac(of: head[...], secret: secret)
  return head + [UInt8(ascii: ".")] + Base64URL.encode(mac)
}

private func checkGrant(_ token: [UInt8]) {
  guard let grant = try? verifier.verify(token, at: 1_000) else { return }
  precondition(token.count <= CompactToken.maximumBytes)
  precondition(grant.patterns.count <= TokenClaims.maximumStreams)
  precondition(grant.labels.count <= TokenClaims.maximumLabels)
  precondition(grant.endsAt ?? .max > 1_000, "a token that is over was let in")
  let claims = (try? CompactToken(token)).flatMap { token in
    token.payload.withUnsafeBytes { TokenClaims($0) }
  }
  for name in claims?.streams ?? [] where !name.contains(UInt8(ascii: "*")) {
    precondition(
      grant.patterns.contains { $0.matches(name) }, "the name that it says is not opened")
  }
}

private func checkRoundTrips(_ bytes: [UInt8]) {
  precondition(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
  if let decoded = Base64URL.decode(bytes) { precondition(Base64URL.encode(decoded) == bytes) }
}

private func checkKeys(_ bytes: [UInt8]) {
  if let keys = try? TokenKey.keys(fromPEM: bytes) {
    precondition((1...TokenKey.maximumKeys).contains(keys.count))
  }
  if let keys = try? TokenKey.keys(fromJWKS: bytes, allowsSecrets: false) {
    precondition((1...TokenKey.maximumKeys).contains(keys.count))
    precondition(!keys.contains { $0.algorithm == .hs256 }, "a secret from an open set")
  }
}
