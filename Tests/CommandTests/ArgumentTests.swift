import ArgumentParser
import Testing

@testable import millstream

@Suite struct ArgumentTests {
  @Test(arguments: [
    ("ok ä 😀", nil), ("a\u{0}b", "has a NUL at byte 1, which Postgres cannot store as text"),
  ])
  func textIsChecked(text: String, problem: String?) {
    #expect(BroadcastData.problem(in: Array(text.utf8)) == problem)
  }

  @Test(
    arguments: [
      ([0x61, 0xff], 1, "ff"), ([0xc3, 0xa4, 0xe2, 0x82], 2, "e2"), ([0xed, 0xa0, 0x80], 0, "ed"),
      ([0x61, 0xc0, 0x80], 1, "c0"), ([0x80, 0], 0, "80"), ([0xf4, 0x90, 0x80, 0x80], 0, "f4"),
    ] as [([UInt8], Int, String)])
  func whatIsNotUTF8IsFound(bytes: [UInt8], offset: Int, hex: String) {
    #expect(
      BroadcastData.problem(in: bytes) == "is not valid UTF-8 at byte \(offset) (0x\(hex))")
  }

  @Test(arguments: ["", " ", "\t ", "a\nb", "a\rb", "a\r\nb"])
  func eventNamesAreChecked(event: String) {
    #expect(throws: ValidationError.self) { try BroadcastData.checkEvent(event) }
  }

  @Test func queueNamesHaveALimit() throws {
    #expect(try QueueArgument.queue(of: "chat", prefix: "pgbus").name == "pgbus_chat")
    let long = String(repeating: "x", count: 42)
    #expect(throws: ValidationError.self) { try QueueArgument.queue(of: long, prefix: "pgbus") }
  }

  @Test func namesAreSigned() throws {
    let signed = try Sign.signed("chat", secrets: [Array("s3cret".utf8)])
    let expected =
      "ImNoYXQi--48ec4bd1b74d3435c73514d7b1a8accdbc1667a65e1dff2faa87ee6ee72e93ce"
    #expect(signed == expected)
    #expect(throws: ValidationError.self) { try Sign.signed("chat", secrets: []) }
    #expect(throws: ValidationError.self) { try Sign.signed("a\nb", secrets: [[1]]) }
  }

  @Test func urlsAreTakenApart() throws {
    let url = try TailURL("http://localhost:8080/streams/a?x=1#y")
    #expect(url.host == "localhost" && url.port == "8080" && url.target == "/streams/a?x=1")
    #expect(url.authority == "localhost:8080")
    let bare = try TailURL("HTTP://[::1]")
    #expect(bare.host == "::1" && bare.port == "80" && bare.target == "/")
    #expect(bare.authority == "[::1]")
  }

  @Test(arguments: [
    "https://a/", "ftp://a/", "http://", "http://a:x/", "http://a b/", "http://u@a/",
  ])
  func wrongURLsAreRefused(text: String) {
    #expect(throws: ValidationError.self) { try TailURL(text) }
  }

  @Test func namesBecomePaths() throws {
    let tail = try Tail.parse(["a:b ä/c", "--since", "3-ff", "--server", "http://h:1/"])
    #expect(try tail.url().target == "/streams/a%3Ab%20%C3%A4%2Fc?since=3-ff")
  }
}
