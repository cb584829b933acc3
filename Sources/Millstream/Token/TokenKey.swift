import CLibCrypto

/// What tokens are verified with: a secret, or a public key.
package struct TokenKey: Sendable {
  let algorithm: TokenAlgorithm
  /// What tokens call it (`kid`); nil: it has no name, and may have signed any token.
  let id: [UInt8]?
  private let material: Material

  private enum Material: Sendable { case secret([UInt8]), publicKey(PublicKey) }

  /// RFC 7518, 3.2 asks for as many bytes as the hash has.
  package static let wantedSecretBytes = 32

  /// A secret that both sides know (HS256).
  package init(secret: [UInt8], id: [UInt8]? = nil) {
    precondition(!secret.isEmpty, "an empty secret would let everybody sign")
    algorithm = .hs256
    self.id = id
    material = .secret(secret)
  }

  init(_ key: PublicKey, id: [UInt8]? = nil) {
    algorithm = key.algorithm
    self.id = id
    material = .publicKey(key)
  }

  /// Whether the signature is one of this key. What a comparison takes of time tells nothing.
  func verifies(_ signature: [UInt8], of signed: ArraySlice<UInt8>) -> Bool {
    switch material {
    case .publicKey(let key): return key.verifies(signature, of: signed)
    case .secret(let secret):
      let expected = TokenKey.mac(of: signed, secret: secret)
      return signature.count == expected.count
        && CRYPTO_memcmp(expected, signature, expected.count) == 0
    }
  }

  /// HMAC-SHA256.
  static func mac(of signed: ArraySlice<UInt8>, secret: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { buffer, count in
      var length: UInt32 = 0
      let result = signed.withUnsafeBufferPointer { bytes in
        HMAC(
          EVP_sha256(), secret, Int32(secret.count), bytes.baseAddress, bytes.count,
          buffer.baseAddress, &length)
      }
      precondition(result != nil && length == 32, "libcrypto has no HMAC-SHA256")
      count = Int(length)
    }
  }
}

/// A public key of libcrypto. It is never changed, so threads may share it.
final class PublicKey: @unchecked Sendable {
  let algorithm: TokenAlgorithm
  private let raw: OpaquePointer

  /// Takes `raw` over; nil: it is no key, or one of a type that no algorithm of ours takes.
  init?(_ raw: OpaquePointer?) {
    guard let raw else { return nil }
    switch Int(ms_key_kind(raw)) {
    case Int(MS_KEY_RSA): algorithm = .rs256
    case Int(MS_KEY_P256): algorithm = .es256
    case Int(MS_KEY_ED25519): algorithm = .edDSA
    default:
      EVP_PKEY_free(raw)
      return nil
    }
    self.raw = raw
  }

  deinit { EVP_PKEY_free(raw) }

  func verifies(_ signature: [UInt8], of signed: ArraySlice<UInt8>) -> Bool {
    signed.withUnsafeBufferPointer { bytes in
      switch algorithm {
      case .hs256: false
      case .rs256:
        ms_verify(raw, EVP_sha256(), signature, signature.count, bytes.baseAddress, bytes.count)
          == 1
      case .es256:
        signature.count == 64
          && ms_verify_p256(raw, signature, bytes.baseAddress, bytes.count) == 1
      case .edDSA:
        ms_verify(raw, nil, signature, signature.count, bytes.baseAddress, bytes.count) == 1
      }
    }
  }
}
