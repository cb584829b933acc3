/// Why a file of secrets is refused; never says the secret.
struct SecretsError: Error, Equatable, CustomStringConvertible {
  enum Problem: Equatable { case notHexadecimal, notBase64, empty }

  /// The first line is 1.
  let line: Int
  let problem: Problem

  var description: String {
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
  /// A line is the secret itself, byte for byte, or `hex:` or `base64:` and the encoded bytes.
  /// Blank lines and lines that begin with `#` are left out, and so is a carriage return at the
  /// end.
  static func secrets(fromLines text: [UInt8]) throws(SecretsError) -> [[UInt8]] {
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
    } else {
      return Array(line)
    }
    guard let decoded else { throw SecretsError(line: number, problem: problem) }
    guard !decoded.isEmpty else { throw SecretsError(line: number, problem: .empty) }
    return decoded
  }
}
