import Testing

@testable import Millstream

/// Every signature here was made with Python's hmac and hashlib, not with the code under test.
struct SignedNamesTests {
  static let chat =
    "ImNoYXQi--48ec4bd1b74d3435c73514d7b1a8accdbc1667a65e1dff2faa87ee6ee72e93ce"
  /// The wire reference calls `testsecret123` the secret; it is the secret_key_base.
  static let board =
    "ImJvYXJkOjEi--7eadb36517dd962e290a5c55daad0a9a3ae0aa9a26ae0e72b7f78ae7eb0d5a3d"
  static let odd =
    "ImE8Yj4mXCJcXMO88J+YgC8i--07f26e8768423d37c81cec6c9591152babf3f6a5478e2c891ce3685e5cb9a83a"

  static func names(_ secrets: String..., purpose: String? = nil) -> SignedNames {
    SignedNames(secrets: secrets.map { Array($0.utf8) }, purpose: purpose)
  }

  static func verify(_ signed: String, at time: Int64 = 0, purpose: String? = nil) -> String? {
    names("s3cret", purpose: purpose).verify(signed.utf8, at: time)
  }

  /// Signs any text, as the application could.
  static func signed(_ json: String, secret: String = "s3cret") -> String {
    let encoded = Base64.encode(json.utf8)
    return SignatureOracle.sign(encoded, secret: Array(secret.utf8))
  }

  @Test func theReferencesNamesComeOut() throws {
    #expect(Self.names("s3cret").sign("chat") == Self.chat)
    #expect(Self.names("s3cret").sign("a<b>&\"\\ü😀/") == Self.odd)
    let turbo = try SignedNames.secrets(fromLines: Array("secret_key_base:testsecret123".utf8))
    #expect(SignedNames(secrets: turbo).sign("board:1") == Self.board)
    #expect(SignedNames(secrets: turbo).verify(Self.board.utf8, at: 0) == "board:1")
  }

  @Test func anySecretVerifiesAndTheFirstSigns() {
    #expect(Self.names("new", "s3cret").verify(Self.chat.utf8, at: 0) == "chat")
    #expect(Self.names("s3cret", "new").verify(Self.chat.utf8, at: 0) == "chat")
    #expect(Self.names("s3cret", "new").sign("chat") == Self.chat)
    #expect(Self.names("new", "s3cret").sign("chat") != Self.chat)
    #expect(Self.names("new", "other").verify(Self.chat.utf8, at: 0) == nil)
    #expect(Self.names().verify(Self.chat.utf8, at: 0) == nil)
    #expect(Self.names().sign("chat") == nil)
  }

  @Test func oneChangedByteIsEnough() {
    let bytes = Array(Self.chat.utf8)
    for place in bytes.indices {
      var changed = bytes
      changed[place] ^= 1
      #expect(Self.names("s3cret").verify(changed, at: 0) == nil, "byte \(place)")
      #expect(Self.names("s3cret").verify(bytes[..<place], at: 0) == nil, "cut at \(place)")
    }
    #expect(Self.verify(Self.chat) == "chat")
  }

  @Test func theCodeIsSpelledOneWay() {
    #expect(Self.verify("ImNoYXQi--" + Self.chat.dropFirst(10).uppercased()) == nil)
    #expect(Self.verify(Self.chat + " ") == nil)
    #expect(Self.verify(" " + Self.chat) == nil)
    #expect(Self.verify("--" + Self.chat) == nil)
    #expect(Self.verify("") == nil)
  }

  @Test(
    arguments: [
      ("\"a\"", "a"), (" \"a\" ", "a"), (#""\u0061\ud83d\ude00""#, "a😀"), ("\"\"", nil),
      ("[\"a\"]", nil), ("1", nil), ("null", nil), ("{}", nil), ("{\"a\":\"b\"}", nil),
      ("\"a\" x", nil), ("\"a", nil), ("", nil), (#""a\u0000b""#, nil), (#""a\nb""#, nil),
      ("\"a\u{7f}\"", nil), (#""\ud800""#, nil), (#"{"_rails":"a"}"#, nil),
      (#"{"_rails":{"data":"a"}}"#, "a"), (#"{"_rails":{"data":1}}"#, nil),
      (#"{"_rails":{"data":{"_rails":{"data":"a"}}}}"#, nil), (#"{"_rails":{}}"#, nil),
      (#"{"_rails":{"message":"ImEi"}}"#, "a"), (#"{"_rails":{"message":"a"}}"#, nil),
      (#"{"_rails":{"message":"ImEi","data":"b"}}"#, "a"),
      (#"{"_rails":{"data":"a","exp":0}}"#, nil),
      (#"{"_rails":{"data":"a","exp":"never"}}"#, nil), (#"{"_rails":{"data":"a","pur":1}}"#, nil),
      (#"{"_rails":{"data":"a","pur":"","exp":null}}"#, "a"),
      (#"{"_rails":{"data":"a","pur":"x"}}"#, nil),
    ] as [(String, String?)])
  func onlyANameIsAName(json: String, name: String?) {
    #expect(Self.verify(Self.signed(json)) == name)
  }

  @Test func whatIsNoTextIsNoName() {
    let notText = SignatureOracle.sign(
      Base64.encode([0x22, 0xff, 0x22]), secret: Array("s3cret".utf8))
    #expect(Self.verify(notText) == nil)
    let urlSafe = SignatureOracle.sign(Array("Ij8_Ig==".utf8), secret: Array("s3cret".utf8))
    #expect(Self.verify(urlSafe) == nil)
  }

  @Test func namesHaveALength() {
    let longest = String(repeating: "é", count: 256)
    #expect(Self.names("s3cret").sign(longest).flatMap { Self.verify($0) } == longest)
    #expect(Self.names("s3cret").sign(longest + "a") == nil)
    #expect(Self.verify(Self.signed("\"\(longest)a\"")) == nil)
    #expect(Self.verify(Self.signed(String(repeating: " ", count: 9_000) + "\"a\"")) == nil)
    for name in ["", "a\nb", "a\0", "\u{7f}"] { #expect(Self.names("s3cret").sign(name) == nil) }
  }
}

struct SignedEnvelopeTests {
  /// Rails 7.0: `{"_rails":{"message":"ImNoYXQi","exp":"2026-01-31T12:00:00.500Z","pur":null}}`.
  static let legacy =
    "eyJfcmFpbHMiOnsibWVzc2FnZSI6IkltTm9ZWFFpIiwiZXhwIjoiMjAyNi0wMS0zMVQxMjowMDowMC41MDBaIiwicHVy"
    + "IjpudWxsfX0=--0a95195c64d6929a29bdfe463550e40b3e86d75fc380019d1e9f05a1e434a683"
  /// The same with `"exp":null,"pur":"stream"`.
  static let legacyPurpose =
    "eyJfcmFpbHMiOnsibWVzc2FnZSI6IkltTm9ZWFFpIiwiZXhwIjpudWxsLCJwdXIiOiJzdHJlYW0ifX0=--9c5af51e77"
    + "9015c04b986add3fea9f7a197c022688343d990a0f3f4bb6e176bf"
  /// Rails 7.1: `{"_rails":{"data":"chat","exp":"2026-01-31T14:00:00.500+02:00"}}`.
  static let modern =
    "eyJfcmFpbHMiOnsiZGF0YSI6ImNoYXQiLCJleHAiOiIyMDI2LTAxLTMxVDE0OjAwOjAwLjUwMCswMjowMCJ9fQ==--5a"
    + "59e6ed0523efe487d48e6478b9dfba18e99d4dc1a3b160f0119c760302648f"
  /// `{"_rails":{"data":"chat","pur":"stream"}}`.
  static let modernPurpose =
    "eyJfcmFpbHMiOnsiZGF0YSI6ImNoYXQiLCJwdXIiOiJzdHJlYW0ifX0=--a1719e72e6554ea4422f3e897dc5165ee4"
    + "6acdc195f4e291588767d5cccebe44"
  /// 2026-01-31T12:00:00Z.
  static let noon: Int64 = 1_769_860_800

  @Test(arguments: [legacy, modern])
  func namesExpire(signed: String) {
    #expect(SignedNamesTests.verify(signed, at: Self.noon - 1) == "chat")
    #expect(SignedNamesTests.verify(signed, at: Self.noon) == nil)
    #expect(SignedNamesTests.verify(signed, at: Self.noon - 1, purpose: "stream") == nil)
  }

  @Test(arguments: [legacyPurpose, modernPurpose])
  func namesHaveAPurpose(signed: String) {
    #expect(SignedNamesTests.verify(signed, purpose: "stream") == "chat")
    #expect(SignedNamesTests.verify(signed, purpose: "other") == nil)
    #expect(SignedNamesTests.verify(signed) == nil)
    #expect(SignedNamesTests.verify(SignedNamesTests.chat, purpose: "stream") == nil)
    #expect(SignedNamesTests.verify(SignedNamesTests.chat, purpose: "") == "chat")
  }

  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("2026-01-31T12:00:00.123456789Z", noon),
      ("2026-01-31t12:00:00z", noon), ("2026-01-31T06:30:00-05:30", noon),
      ("2000-02-29T00:00:00Z", 951_782_400), ("2024-02-29T00:00:00Z", 1_709_164_800),
      ("2100-03-01T00:00:00Z", 4_107_542_400),
      ("1969-12-31T00:00:00Z", -86_400), ("9999-12-31T00:00:00Z", 253_402_214_400),
      ("0000-01-01T00:00:00Z", -62_167_219_200), ("2026-02-29T00:00:00Z", nil),
      ("2100-02-29T00:00:00Z", nil), ("2026-13-01T00:00:00Z", nil), ("2026-00-01T00:00:00Z", nil),
      ("2026-01-00T00:00:00Z", nil), ("2026-01-31T24:00:00Z", nil), ("2026-01-31T12:60:00Z", nil),
      ("2026-01-31T12:00:61Z", nil), ("2026-01-31T12:00:00", nil), ("2026-01-31 12:00:00Z", nil),
      ("2026-01-31T12:00:00.Z", nil), ("2026-01-31T12:00:00+0200", nil), ("2026-01-31", nil),
      ("2026-01-31T12:00:00Zx", nil), ("2026-01-31T12:00:00+24:00", nil), ("", nil),
    ] as [(String, Int64?)])
  func timesAreRead(text: String, time: Int64?) {
    #expect(Timestamp.unixTime(of: text.utf8) == time)
  }
}
