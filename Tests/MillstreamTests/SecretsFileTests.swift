import Testing

@testable import Millstream

struct SecretsFileTests {
  static func secrets(_ text: String) throws -> [String] {
    try SignedNames.secrets(fromLines: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(arguments: [
    ("", []), ("\n\r\n \t\n", []), ("a", ["a"]), ("a\nb\n", ["a", "b"]), ("a\r\nb\r", ["a", "b"]),
    ("# no\na#b\n #c", ["a#b", " #c"]), ("hex:4a4B", ["JK"]), ("base64:SktM", ["JKL"]),
    (" a ", [" a "]), ("HEX:zz", ["HEX:zz"]), ("a\n\n\nb", ["a", "b"]), ("a\r\r", ["a\r"]),
  ])
  func linesAreSecrets(text: String, secrets: [String]) throws {
    #expect(try Self.secrets(text) == secrets)
  }

  @Test(arguments: [
    ("hex:4", 1, SecretsError.Problem.notHexadecimal), ("\n#\nhex:zz", 3, .notHexadecimal),
    ("a\nbase64:SktM\nbase64:Skt", 3, .notBase64), ("base64:Skt_", 1, .notBase64),
    ("hex:", 1, .empty), ("base64:\r", 1, .empty), ("secret_key_base:", 1, .empty),
  ])
  func errorsNameTheLine(text: String, line: Int, problem: SecretsError.Problem) {
    let expected = SecretsError(line: line, problem: problem)
    #expect(throws: expected) { try Self.secrets(text) }
    #expect(expected.description.contains("line \(line)"))
  }

  /// Python: `hashlib.pbkdf2_hmac("sha256", base, b"turbo/signed_stream_verifier_key", 1000, 64)`.
  @Test func turbosKeyIsDerived() throws {
    let base = String(repeating: "0123456789abcdef", count: 8)
    let key = try #require(
      try SignedNames.secrets(fromLines: Array("secret_key_base:\(base)".utf8)).first)
    #expect(
      text(Hexadecimal.encode(key))
        == "7abcd5758752313f1d691ad878b93c5c7e9bf71bd853e9b10c3d2861233525e8"
        + "98d0a04aae89abc8b5da1e1ccbd749cccb3a93a9900de3d53189b40191b5a460")
  }
}

struct Base64Tests {
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"), ("\u{3ff}\u{fff}", "z7/gv78="),
    ("\u{3fe}>", "z74+"),
  ])
  func bothWays(plain: String, encoded: String) {
    #expect(text(Base64.encode(plain.utf8)) == encoded)
    #expect(Base64.decode(encoded.utf8) == Array(plain.utf8))
  }

  @Test(arguments: [
    "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "=", "Zg==Zg==", "Zm9v\n", " Zm9", "Zm-v",
    "Zm_v", "Zg=a", "Z===",
  ])
  func nothingElseIsRead(encoded: String) {
    #expect(Base64.decode(encoded.utf8) == nil)
  }
}
