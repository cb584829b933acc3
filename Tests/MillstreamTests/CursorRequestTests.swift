import Testing

@testable import Millstream

struct CursorRequestTests {
  static func cursor(_ header: String?, _ query: String?, epoch: Bool = false) -> CursorRequest {
    CursorRequest(
      lastEventID: header.map { Array($0.utf8)[...] }, query: query.map { Array($0.utf8)[...] },
      allowsEpoch: epoch)
  }

  @Test(
    arguments: [
      (nil, nil, .none), ("5", nil, .after(id: 5, epoch: nil)),
      (nil, "since=7", .after(id: 7, epoch: nil)), ("5", "since=7", .after(id: 5, epoch: nil)),
      ("x", "since=7", .invalid), ("5", "since=x", .after(id: 5, epoch: nil)),
      ("", "since=7", .after(id: 7, epoch: nil)), ("  ", "since=7", .after(id: 7, epoch: nil)),
      ("", "since=", .none), (nil, "since", .none), (nil, "since=%20+", .none),
      (nil, "a=1&since=2&b=3", .after(id: 2, epoch: nil)), (nil, "asince=2", .none),
      (nil, "since=1&since=2", .after(id: 2, epoch: nil)),
      (nil, "since=%31", .after(id: 1, epoch: nil)),
      (nil, "since=%3", .invalid), (nil, "since=%zz", .invalid), (nil, "since=1%00", .invalid),
    ] as [(String?, String?, CursorRequest)])
  func theHeaderWinsUnlessBlank(header: String?, query: String?, expected: CursorRequest) {
    #expect(Self.cursor(header, query) == expected)
  }

  @Test(
    arguments: [
      ("0", .after(id: 0, epoch: nil)), ("007", .after(id: 7, epoch: nil)),
      ("9223372036854775807", .after(id: .max, epoch: nil)), ("9223372036854775808", .invalid),
      ("99999999999999999999999", .invalid), ("-1", .none), ("-9223372036854775808", .none),
      ("-9223372036854775809", .invalid), ("-0", .after(id: 0, epoch: nil)), ("+5", .invalid),
      ("-", .invalid), ("--5", .invalid), ("5 6", .invalid), ("5.0", .invalid), ("0x5", .invalid),
      ("5-a", .invalid), ("5-", .invalid), ("\u{661}", .invalid),
    ] as [(String, CursorRequest)])
  func idsAreDecimal(text: String, expected: CursorRequest) {
    #expect(Self.cursor(text, nil) == expected)
  }

  @Test(
    arguments: [
      ("5", .after(id: 5, epoch: nil)), ("5-0", .after(id: 5, epoch: 0)),
      ("5-dEadbEEf", .after(id: 5, epoch: 0xdead_beef)), ("5-00000001", .after(id: 5, epoch: 1)),
      ("5-000000001", .invalid), ("5-", .invalid), ("5-g", .invalid), ("5-1-2", .invalid),
      ("-5-1", .invalid), ("-1", .none), ("-", .invalid), ("5--1", .invalid),
    ] as [(String, CursorRequest)])
  func epochsAreHexadecimal(text: String, expected: CursorRequest) {
    #expect(Self.cursor(text, nil, epoch: true) == expected)
  }

  @Test func aHeadIsRead() throws {
    let head = try requestHead("GET /?since=4 HTTP/1.0\r\nlast-event-id: 9-a\r\n\r\n")
    #expect(CursorRequest(head, allowsEpoch: true) == .after(id: 9, epoch: 10))
    #expect(CursorRequest(head, allowsEpoch: false) == .invalid)
  }
}

struct PercentEncodingTests {
  @Test(
    arguments: [
      ("", ""), ("a+b", "a+b"), ("%41%6a%6A", "Ajj"), ("%2525", "%25"), ("%00", "\0"),
      ("%", nil), ("%4", nil), ("%4g", nil), ("a%", nil), ("%%41", nil), ("% 41", nil),
    ] as [(String, String?)])
  func decodes(encoded: String, decoded: String?) {
    #expect(PercentEncoding.decode(encoded.utf8) == decoded.map { Array($0.utf8) })
  }

  @Test(
    arguments: [
      ("n=a+b%2B", .found(Array("a b+".utf8))), ("n", .found([])), ("&&n=1&", .found([0x31])),
      ("n=a=b", .found(Array("a=b".utf8))), ("N=1", .absent), ("", .absent), ("n=%", .malformed),
    ] as [(String, PercentEncoding.QueryValue)])
  func looksUp(query: String, value: PercentEncoding.QueryValue) {
    #expect(PercentEncoding.queryValue("n", in: query.utf8) == value)
  }
}
