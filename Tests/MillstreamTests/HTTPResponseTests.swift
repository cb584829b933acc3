import Testing

@testable import Millstream

@Suite struct HTTPResponseTests {
  @Test func headOfAStream() {
    #expect(
      text(HTTPResponse.streamHead([("vary", "origin")]))
        == "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        + "cache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
        + "connection: keep-alive\r\nvary: origin\r\n\r\n")
  }

  @Test func refusalWithoutRoomSaysWhenToComeBack() {
    #expect(
      text(HTTPResponse.full.encoded)
        == "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 2\r\n"
        + "content-length: 31\r\nconnection: close\r\n\r\nno room for another connection\n")
  }

  @Test(arguments: [
    (HTTPResponse.notFound, 404), (.badCursor, 400), (.full, 503), (.forbidden, 403), (.fault, 500),
    (.headTimeout, 408),
  ])
  func refusalsArePlainText(response: HTTPResponse, status: Int) {
    let lines = text(response.encoded).split(separator: "\r\n", omittingEmptySubsequences: false)
    #expect(lines[0].hasPrefix("HTTP/1.1 \(status) "))
    #expect(lines.contains("content-type: text/plain"))
    #expect(lines.contains("connection: close"))
    #expect(lines.contains("content-length: \(lines.last!.utf8.count)"))
    #expect(lines.last!.hasSuffix("\n"))
  }

  @Test func lengthCountsBytes() {
    let response = HTTPResponse(status: 200, reason: "OK", body: Array("ü😀".utf8))
    #expect(
      text(response.encoded)
        == "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nü😀")
  }

  @Test func noContentHasNoLength() {
    let response = HTTPResponse(status: 204, reason: "No Content", body: [0x78], hasBody: false)
    #expect(text(response.encoded) == "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
  }

  @Test func answerToHeadHasTheLengthWithoutTheBody() {
    var response = HTTPResponse.notFound
    response.isHeadOnly = true
    #expect(
      text(response.encoded)
        == "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 15\r\n"
        + "connection: close\r\n\r\n")
  }
}
