import CLibCrypto

/// Why a file of secrets is refused; never says the secret.
package struct SecretsError: Error, Equatable, CustomStringConvertible {
  package enum Problem: Equatable { case notHexadecimal, notBase64, empty }

  /// The first line is 1.
  package let line: Int
  package let problem: Problem

  package var description: String {
    let what =
      switch problem {
      case .notHexadecimal: "what follows hex: is not pairs of hexadecimal digits"
      case .notBase64: "what follows base64: is not padded standard base64"
      case .empty: "nothing follows the prefix"
      }
    return "secrets: line \(line): \(what)"
  }
}

extension SignedNames {
  /// Reads one secret a line; the first is the one that signs.
  ///
  /// A line is the secret itself, byte for byte; or `hex:` or `base64:` and the encoded bytes; or
  /// `secret_key_base:` and that of a Rails application, which Turbo's key is derived from. Blank
  /// lines and lines that begin with `#` are left out, and so is a carriage return at the end.
  package static func secrets(fromLines text: [UInt8]) throws(SecretsError) -> [[UInt8]] {
    var secrets: [[UInt8]] = []
    let lines = text.split(separator: ASCII.lineFeed, omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let line = line.last == ASCII.carriageReturn ? line.dropLast() : line
      if line.allSatisfy(ASCII.isBlank) || line.first == UInt8(ascii: "#") { continue }
      secrets.append(try secret(in: line, number: index + 1))
    }
    return secrets
  }

  private static func secret(
    in line: ArraySlice<UInt8>, number: Int
  ) throws(SecretsError) -> [UInt8] {
    let decoded: [UInt8]?
    let problem: SecretsError.Problem
    if ASCII.equals(line.prefix(4), "hex:") {
      (decoded, problem) = (Hexadecimal.decode(line.dropFirst(4)), .notHexadecimal)
    } else if ASCII.equals(line.prefix(7), "base64:") {
      (decoded, problem) = (Base64.decode(line.dropFirst(7)), .notBase64)
    } else if ASCII.equals(line.prefix(16), "secret_key_base:") {
      (decoded, problem) = (turboKey(from: line.dropFirst(16)), .empty)
    } else {
      return Array(line)
    }
    guard let decoded else { throw SecretsError(line: number, problem: problem) }
    guard !decoded.isEmpty else { throw SecretsError(line: number, problem: .empty) }
    return decoded
  }

  /// The key that Rails derives for Turbo (`ActiveSupport::KeyGenerator`, digest SHA256, 1,000
  /// rounds, 64 bytes); nil for no bytes. Applications that still derive with SHA1 give the key
  /// itself, in hexadecimal.
  private static func turboKey(from keyBase: ArraySlice<UInt8>) -> [UInt8]? {
    guard !keyBase.isEmpty else { return nil }
    let salt: StaticString = "turbo/signed_stream_verifier_key"
    return [UInt8](unsafeUninitializedCapacity: 64) { key, count in
      let result = keyBase.withUnsafeBytes { bytes in
        PKCS5_PBKDF2_HMAC(
          bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count),
          salt.utf8Start, Int32(salt.utf8CodeUnitCount), 1_000, EVP_sha256(), 64, key.baseAddress)
      }
      precondition(result == 1, "libcrypto has no PBKDF2-HMAC-SHA256")
      count = 64
    }
  }
}
