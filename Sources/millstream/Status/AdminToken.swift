import ArgumentParser
import CLibCrypto

/// What an operator has to know to close connections and to look into streams.
struct AdminToken {
  private let bytes: [UInt8]
  static let minimumBytes = 16

  /// Nil: too short, or not to be sent in a field.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= AdminToken.minimumBytes, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else { return nil }
    self.bytes = bytes
  }

  /// - Throws: `ValidationError` that says what is wrong with the file, but not what is in it.
  static func load(_ path: String) throws(ValidationError) -> AdminToken {
    let line = try FileReader.contents(of: path).prefix { $0 != 0x0a && $0 != 0x0d }
    guard let token = AdminToken(Array(line)) else {
      throw ValidationError(
        "--admin-token-file: the first line of \(path) has to be \(minimumBytes) or more visible "
          + "ASCII characters")
    }
    return token
  }

  /// Whether an `Authorization` field has it (RFC 6750, 2.1). How long that takes tells its length alone.
  func matches(authorization field: String?) -> Bool {
    guard let field, field.prefix(7).lowercased() == "bearer " else { return false }
    let given = Array(field.dropFirst(7).utf8)
    return given.count == bytes.count && CRYPTO_memcmp(given, bytes, bytes.count) == 0
  }
}
