import Testing

@testable import Millstream

/// What the scanner says of a whole text.
func jsonKind(_ json: [UInt8]) -> JSONValue.Kind? {
  json.withUnsafeBytes { JSONScanner.value(of: $0)?.kind }
}

func jsonKind(_ json: String) -> JSONValue.Kind? { jsonKind(Array(json.utf8)) }

struct JSONScannerTests {
  @Test(
    arguments: [
      ("{}", .object), (" { \"a\" : [ 1 , { } , [ ] ] , \"b\" : null } \r\n\t", .object),
      ("[]", .array), ("[1,2]", .array), ("\"\"", .string), ("\"é😀\u{10ffff}\"", .string),
      (#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00""#, .string), ("0", .number), ("-0", .number),
      ("10", .number), ("-1.5e+10", .number), ("0e0", .number), ("1E-2", .number), ("true", .true),
      ("false", .false), ("null", .null), ("\"\u{7f}\"", .string),
    ] as [(String, JSONValue.Kind)])
  func theseAreValues(json: String, kind: JSONValue.Kind) {
    #expect(jsonKind(json) == kind)
  }

  @Test(arguments: [
    "", " ", "{", "}", "[", "]", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
    "{,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1]", "[1}", "01", "-", "+1", "1.", ".1", "1e",
    "1e+", "- 1", "1 2", "--1", "0x1", "tru", "truex", "True", "nul", "NaN", "Infinity", "\"",
    "\"a", "'a'", #""\a""#, #""\u12""#, #""\u12g4""#, #""\"#, #""\ud800""#, #""\udc00""#,
    #""\ud800\u0061""#, #""\ud800a""#, #""\ud83d\ud83d""#, #""\udc00\udc00""#, "\"\n\"", "\"\0\"",
    "\"\t\"", "\"a\"b",
    "/**/1", "\u{feff}1", "\u{a0}1", "{\"a\":1}{",
  ])
  func theseAreNot(json: String) {
    #expect(jsonKind(json) == nil)
  }

  @Test(
    arguments: [
      [0x80], [0xc0, 0x80], [0xc1, 0xbf], [0xe0, 0x9f, 0xbf], [0xed, 0xa0, 0x80], [0xc3],
      [0xf0, 0x8f, 0xbf, 0xbf], [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff],
      [0xe2, 0x82], [0xe2, 0x28, 0xa1], [0xf0, 0x9f, 0x98], [0xe2, 0x82, 0x28],
    ] as [[UInt8]])
  func malformedUTF8IsRefused(bytes: [UInt8]) {
    #expect(jsonKind([0x22] + bytes + [0x22]) == nil)
    #expect(jsonKind([0x22] + bytes) == nil)
  }

  @Test func depthIsBounded() {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(jsonKind(nested(64)) == .array)
    #expect(jsonKind(nested(65)) == nil)
    #expect(jsonKind("{\"a\":" + nested(63) + "}") == .object)
    #expect(jsonKind("{\"a\":" + nested(64) + "}") == nil)
    #expect(jsonKind(String(repeating: "[", count: 1_000_000)) == nil)
  }

  @Test(
    arguments: [
      ("0", 0), ("-0", 0), ("42", 42), ("9223372036854775807", .max),
      ("-9223372036854775808", .min), ("9223372036854775808", nil), ("1.0", nil), ("1e2", nil),
      ("-9223372036854775809", nil), ("\"1\"", nil), ("99999999999999999999", nil),
    ] as [(String, Int64?)])
  func integersAreRead(json: String, value: Int64?) {
    #expect(Array(json.utf8).withUnsafeBytes { JSONScanner.value(of: $0)?.integer } == value)
  }
}

struct JSONStringTests {
  static func unescaped(_ json: String) -> String? {
    Array(json.utf8).withUnsafeBytes {
      JSONScanner.value(of: $0)?.string?.unescaped().map { text($0) }
    }
  }

  @Test(arguments: [
    (#""""#, ""), (#""a\/b""#, "a/b"), (#""\"\\\b\f\n\r\t""#, "\"\\\u{8}\u{c}\n\r\t"),
    (#""\u00E9\u20ac\ud83d\ude00\u0000""#, "é€😀\0"),
    (#""\uffff\udbff\udfff""#, "\u{ffff}\u{10ffff}"),
    (#""é\u0041€😀""#, "éA€😀"),
  ])
  func escapesAreUndone(json: String, text: String) {
    #expect(Self.unescaped(json) == text)
  }

  @Test(arguments: [
    ("", #""""#), ("a\"b\\c/d", #""a\"b\\c/d""#), ("<>&\u{2028}é", "\"<>&\u{2028}é\""),
    ("\u{8}\t\n\u{c}\r", #""\b\t\n\f\r""#), ("\0\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
  ])
  func encodesAsRuby(plain: String, json: String) {
    #expect(text(JSONString.encode(plain.utf8)) == json)
    #expect(Self.unescaped(json) == plain)
  }

  @Test func contentsThatNobodyCheckedAreRefused() {
    for contents in ["\\", "\\u12", "\\q", "\\ud800"] {
      let bytes = Array(contents.utf8)
      #expect(bytes.withUnsafeBytes { JSONString(contents: $0).unescaped() } == nil)
    }
  }
}

struct JSONMembersTests {
  /// Names, raw values and how the walk ended.
  static func walk(_ json: String) -> [String] {
    Array(json.utf8).withUnsafeBytes { bytes in
      guard var members = JSONMembers(of: bytes) else { return ["none"] }
      var seen: [String] = []
      while true {
        switch members.next() {
        case .member(let key, let value): seen.append(text(key.contents) + "=" + text(value.raw))
        case .end: return seen + ["end"]
        case .malformed: return seen + ["malformed"]
        }
      }
    }
  }

  @Test(arguments: [
    ("{}", ["end"]), (" { } ", ["end"]), ("{\"a\":1,\"a\":[2]}", ["a=1", "a=[2]", "end"]),
    (" { \"a\" : { \"b\" : 1 } , \"\" : \"x\" } ", ["a={ \"b\" : 1 }", "=\"x\"", "end"]),
    ("[]", ["none"]), ("", ["none"]), ("{", ["malformed"]), ("{\"a\":1", ["a=1", "malformed"]),
    ("{,\"a\":1}", ["malformed"]), ("{\"a\":1 \"b\":2}", ["a=1", "malformed"]),
    ("{\"a\":1}x", ["a=1", "malformed"]), ("{\"a\":1,,}", ["a=1", "malformed"]),
    ("{\"a\":1,}", ["a=1", "malformed"]),
  ])
  func membersComeInOrder(json: String, steps: [String]) {
    #expect(Self.walk(json) == steps)
  }

  @Test func namesAreComparedUnescaped() {
    let json = Array(#"{"\u0068tml":1}"#.utf8)
    let isEqual = json.withUnsafeBytes { bytes in
      guard var members = JSONMembers(of: bytes), case .member(let key, _) = members.next() else {
        return false
      }
      return key.equals("html") && !key.equals("htm")
    }
    #expect(isEqual)
  }
}
