import CLibCrypto

/// Stream names with a signature, as Rails makes them (`ActiveSupport::MessageVerifier` with digest
/// SHA256 and serializer JSON, which is what both Turbo and pgbus use):
/// `base64(JSON(name)) "--" hex(HMAC-SHA256(secret, base64 part))`.
package struct SignedNames {
  /// The longest name, in bytes of UTF-8.
  static let maximumNameBytes = 512
  /// No signed name of an allowed length is longer, even with every byte escaped and an envelope.
  static let maximumSignedBytes = 8 * 1024

  private static let separator: StaticString = "--"
  /// HMAC-SHA256 in hexadecimal.
  private static let macDigits = 64

  private let secrets: [[UInt8]]
  private let purpose: [UInt8]

  /// The first secret signs, any verifies; without any, nothing verifies. `purpose`: the one that
  /// names have to be signed for; nil is none, as in Rails.
  package init(secrets: [[UInt8]], purpose: String? = nil) {
    precondition(!secrets.contains([]), "an empty secret would let everybody sign")
    self.secrets = secrets
    self.purpose = Array((purpose ?? "").utf8)
  }

  /// What patterns of streams are signed for, so that no name that was signed as one becomes a pattern.
  package static let patternPurpose = "pattern"

  /// The signed name, in an envelope if there is a purpose; nil when there is no secret, or when the name is
  /// not one that `verify` lets pass.
  package func sign(_ name: String) -> String? {
    guard let secret = secrets.first, SignedNames.isAllowed(Array(name.utf8)) else { return nil }
    var json = JSONString.encode(name.utf8)
    if !purpose.isEmpty {
      json = Array(#"{"_rails":{"data":"#.utf8) + json + Array(#","pur":"#.utf8)
      json += JSONString.encode(purpose) + Array("}}".utf8)
    }
    let encoded = Base64.encode(json)
    let mac = SignedNames.mac(of: encoded[...], secret: secret)
    return String(decoding: encoded, as: UTF8.self) + "--" + String(decoding: mac, as: UTF8.self)
  }

  /// The name; nil when it was not signed with one of the secrets for this purpose, has expired at
  /// `unixTime` (seconds since 1970), or is not a name at all.
  package func verify(_ signed: some Collection<UInt8>, at unixTime: Int64) -> String? {
    let signed = Array(signed.prefix(SignedNames.maximumSignedBytes + 1))
    // The digits after it are as many as they are, so this is where the last separator stands.
    let split = signed.count - SignedNames.macDigits - 2
    guard split > 0, signed.count <= SignedNames.maximumSignedBytes,
      ASCII.equals(signed[split..<(split + 2)], SignedNames.separator)
    else { return nil }
    let encoded = signed[..<split]
    // Nothing of the text is looked at before it is known to be ours.
    guard isSigned(encoded, mac: signed[(split + 2)...]), let json = Base64.decode(encoded),
      let name = json.withUnsafeBytes({ name(in: $0, at: unixTime) }), SignedNames.isAllowed(name)
    else { return nil }
    return String(decoding: name, as: UTF8.self)
  }

  /// Whether any secret gives this code. Every secret is tried and every comparison goes through
  /// to its end, so that the time taken tells nothing.
  private func isSigned(_ encoded: ArraySlice<UInt8>, mac: ArraySlice<UInt8>) -> Bool {
    var isSigned = false
    for secret in secrets {
      let expected = SignedNames.mac(of: encoded, secret: secret)
      let isEqual = mac.withUnsafeBytes { CRYPTO_memcmp(expected, $0.baseAddress, expected.count) }
      isSigned = isSigned || isEqual == 0
    }
    return isSigned
  }

  /// The code in lower-case hexadecimal digits, the only spelling that Rails takes.
  static func mac(of bytes: ArraySlice<UInt8>, secret: [UInt8]) -> [UInt8] {
    let size = Int(EVP_MAX_MD_SIZE)
    let code = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      var length: UInt32 = 0
      let result = bytes.withUnsafeBytes { bytes in
        HMAC(
          EVP_sha256(), secret, Int32(secret.count),
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
          buffer.baseAddress, &length)
      }
      precondition(result != nil && length * 2 == macDigits, "libcrypto has no HMAC-SHA256")
      count = Int(length)
    }
    return Hexadecimal.encode(code)
  }

  private func name(in json: UnsafeRawBufferPointer, at unixTime: Int64) -> [UInt8]? {
    guard let value = JSONScanner.value(of: json) else { return nil }
    if let string = value.string { return purpose.isEmpty ? string.unescaped() : nil }
    return SignedEnvelope(value)?.name(purpose: purpose, at: unixTime)
  }

  /// What a name may be: text that goes into logs, frames and SQL without surprises.
  private static func isAllowed(_ name: [UInt8]) -> Bool {
    !name.isEmpty && name.count <= maximumNameBytes && !name.contains(where: ASCII.isControl)
  }
}
