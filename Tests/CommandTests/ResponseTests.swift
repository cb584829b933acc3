import Testing

@testable import millstream

@Suite struct ResponseTests {
  @Test func headsAreRead() throws {
    let text =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After:  2 \r\nTransfer-Encoding: chunked\r\n\r\nbody"
    let (head, length) = try #require(ResponseHead.parse(Array(text.utf8)))
    #expect(head.status == 503 && head.reason == "Service Unavailable")
    #expect(head.isChunked && head.retryAfterSeconds == 2 && length == text.utf8.count - 4)
    #expect(ResponseHead.parse(Array(text.utf8.prefix(60))) == nil)
  }

  @Test(
    arguments: [
      ("30", 30), ("4294967295", 4_294_967_295), ("9223372036854775807", nil), ("-5", nil),
      ("Sun, 29 Nov 2026 02:00:00 GMT", nil),
    ] as [(String, Int64?)])
  func aPauseThatIsNoneIsNotTaken(text: String, seconds: Int64?) throws {
    let (head, _) = try #require(
      ResponseHead.parse(Array("HTTP/1.1 503 Busy\r\nRetry-After: \(text)\r\n\r\n".utf8)))
    #expect(head.retryAfterSeconds == seconds)
  }

  @Test func chunksAreDecodedInAnyPieces() {
    let text = "5\r\nhello\r\nA;x=y\r\n, world\r\n!\r\n0\r\n\r\n"
    var whole = ChunkDecoder()
    #expect(whole.decode(Array(text.utf8)[...]) == Array("hello, world\r\n!".utf8))
    #expect(whole.isDone)
    var single = ChunkDecoder()
    let pieces = text.utf8.flatMap { single.decode([$0]) }
    #expect(pieces == Array("hello, world\r\n!".utf8) && single.isDone)
  }

  @Test func whatIsNoChunkIsRefused() {
    var chunks = ChunkDecoder()
    _ = chunks.decode(Array("xyz\r\n".utf8)[...])
    #expect(chunks.isMalformed)
  }
}
