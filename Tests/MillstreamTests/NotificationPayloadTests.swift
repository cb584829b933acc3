import Testing

@testable import Millstream

private func string(_ bytes: [UInt8]?) -> String? { bytes.map { text($0) } }

struct PGMQPayloadTests {
  static func payload(_ json: String) -> PGMQPayload? {
    Array(json.utf8).withUnsafeBytes { PGMQPayload($0) }
  }

  @Test func everyMemberIsRead() throws {
    let payload = try #require(
      Self.payload(
        #"{"html":"<b>\u00e9\n</b>","event":"presence","visible_to":"staff","exclude":"9f86"}"#))
    #expect(string(payload.data) == "<b>é\n</b>")
    #expect(string(payload.event) == "presence")
    #expect(string(payload.visibleTo) == "staff")
    #expect(string(payload.exclude) == "9f86")
  }

  @Test(arguments: [
    (#"{"html":"a"}"#, "a"), (#"{"html":""}"#, ""), (#" {"html":1} "#, #"{"html":1}"#),
    ("{}", "{}"), (#"{"a" : {"html":"b"}}"#, #"{"a" : {"html":"b"}}"#),
    (#"{"html":"a","html":"b"}"#, "b"),
    (#"{"html":"a","html":null}"#, #"{"html":"a","html":null}"#),
  ])
  func withoutHTMLTheTextIsDelivered(json: String, data: String) {
    #expect(string(Self.payload(json)?.data) == data)
  }

  @Test(
    arguments: [
      ("null", nil), ("\"\"", ""), ("true", "true"), ("5", "5"), ("[\"a\"]", "[\"a\"]"),
      ("{\"a\":1}", "{\"a\":1}"),
    ] as [(String, String?)])
  func anAudienceThatIsNoStringStaysOne(value: String, label: String?) throws {
    let payload = try #require(
      Self.payload(
        "{\"html\":\"a\",\"visible_to\":\(value),\"exclude\":\(value),\"event\":\(value)}"))
    #expect(string(payload.visibleTo) == label)
    #expect(string(payload.exclude) == label)
    #expect(string(payload.event) == (label == "" ? "" : nil))
  }

  @Test(arguments: [
    "", "x", "[]", "\"html\"", "1", "{\"html\":\"a\"", "{\"html\":\"a\"}}",
    "{\"html\":\"\\ud800\"}",
  ])
  func whatIsNoObjectIsDropped(json: String) {
    #expect(Self.payload(json) == nil)
  }
}

struct NativePayloadTests {
  static func payload(_ json: String) -> NativePayload? {
    Array(json.utf8).withUnsafeBytes { NativePayload($0) }
  }

  @Test func everyMemberIsRead() throws {
    let payload = try #require(
      Self.payload(
        #"{"s":"chat","e":4294967295,"i":7,"d":"a\nb","t":"tick","v":"staff","x":"9f","z":[]}"#))
    #expect(string(payload.stream) == "chat")
    #expect(payload.epoch == .max)
    #expect(payload.id == 7)
    #expect(string(payload.data) == "a\nb")
    #expect(string(payload.event) == "tick")
    #expect(string(payload.visibleTo) == "staff")
    #expect(string(payload.exclude) == "9f")
  }

  @Test(arguments: [
    #"{"s":"a"}"#,
    #"{"s":"a","e":null,"i":null,"d":null,"t":null,"v":null,"x":null}"#,
  ])
  func allButTheStreamMayBeAbsent(json: String) throws {
    let payload = try #require(Self.payload(json))
    #expect(string(payload.stream) == "a")
    #expect(payload.epoch == nil && payload.id == nil && payload.data == nil)
    #expect(payload.event == nil && payload.visibleTo == nil && payload.exclude == nil)
  }

  @Test(arguments: [
    #"{"s":"chat"}"#, #"{"d":"{\"s\":\"b\"}","s":"ch\u0061t","i":1}"#, #"{"s":"b","s":"chat"}"#,
  ])
  func streamIsFoundWithoutTheRest(json: String) {
    #expect(string(Self.payload(json)?.stream) == "chat")
    #expect(string(Self.streamName(json)) == "chat")
  }

  @Test(arguments: ["", "{}", "[]", #"{"s":1}"#, #"{"s":"a","s":null}"#, #"{"s":"a""#])
  func streamIsNotFoundWhereThereIsNone(json: String) {
    #expect(Self.streamName(json) == nil)
  }

  static func streamName(_ json: String) -> [UInt8]? {
    Array(json.utf8).withUnsafeBytes { NativePayload.streamName(in: $0) }
  }

  @Test func anAudienceThatIsNoStringStaysOne() {
    let payload = Self.payload(#"{"s":"a","v":{"b":1},"x":[2]}"#)
    #expect(string(payload?.visibleTo) == #"{"b":1}"#)
    #expect(string(payload?.exclude) == "[2]")
  }

  @Test(arguments: [
    "", "{}", "[]", #"{"s":""}"#, #"{"s":1}"#, #"{"s":null}"#, #"{"s":"a","e":-1}"#,
    #"{"s":"a","e":4294967296}"#, #"{"s":"a","e":"1"}"#, #"{"s":"a","i":1.5}"#,
    #"{"s":"a","i":9223372036854775808}"#, #"{"s":"a","i":0}"#, #"{"s":"a","i":-1}"#,
    #"{"s":"a","i":true}"#, #"{"s":"a","d":1}"#, #"{"s":"a"}}"#, #"{"s":"a""#,
    #"{"s":"a","s":null}"#,
  ])
  func theseAreDropped(json: String) {
    #expect(Self.payload(json) == nil)
  }
}
