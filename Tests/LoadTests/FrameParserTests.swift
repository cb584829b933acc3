import Testing

@testable import millstream_load

@Suite struct FrameParserTests {
  private static let sample =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    + "retry: 2000\n\n: pgbus stream open since_id=0 stream=chat\n\n"
    + "event: pgbus:connected\ndata: {\"connectionId\":\"9f86d081884c7d65\"}\n\n"
    + "id: 7\nevent: turbo-stream\ndata: t=1700000000123456789 x\ndata: t=5\n\n"
    + ": heartbeat 1700000015\r\n\r\n"
    + "id:8-0000beef\r\ndata:t=12\r\n\r\n"
    + "event: pgbus:gap-detected\ndata: {}\n\n"
    + "id: 1700000000:0\ndata\ndata: tea=1\n\n"
    + "id: 1700000000:1\ndata: t=12 n=34 x=5\n\n"
    + "data: t=12 n=35\nid: 1700000000:2\n\n"
    + "id: 9\ndata: t=12 n=36\n\n"
    + "event: disconnected\nid: \ndata:\n\n"
    + "event: pgbus:shutdown\ndata: {}\n\n"

  private static let epochBeef = "0000beef".utf8.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) }

  private static let expected: [FrameParser.Event] = [
    .head(status: 200),
    .frame(Frame(kind: .nothing)),
    .frame(Frame(kind: .comment)),
    .frame(Frame(kind: .connected)),
    .frame(Frame(kind: .message, identity: .number, id: 7, stampNs: 1_700_000_000_123_456_789)),
    .frame(Frame(kind: .comment)),
    .frame(Frame(kind: .message, identity: .number, id: 8, epoch: epochBeef, stampNs: 12)),
    .frame(Frame(kind: .gap)),
    .frame(Frame(kind: .message, identity: .opaque, id: 1_700_000_000)),
    .frame(Frame(kind: .message, identity: .number, id: 34, stampNs: 12)),
    .frame(Frame(kind: .message, identity: .number, id: 35, stampNs: 12)),
    .frame(Frame(kind: .message, identity: .number, id: 9, stampNs: 12)),
    .frame(Frame(kind: .message, identity: .number)),
    .frame(Frame(kind: .goodbye)),
  ]

  private func events(of parts: [ArraySlice<UInt8>]) -> [FrameParser.Event] {
    var parser = FrameParser()
    var events: [FrameParser.Event] = []
    for part in parts {
      part.withUnsafeBytes { bytes in
        var offset = 0
        while let event = parser.next(in: bytes, from: &offset) { events.append(event) }
      }
    }
    return events
  }

  @Test func readsEveryKindOfFrame() {
    #expect(events(of: [Array(Self.sample.utf8)[...]]) == Self.expected)
  }

  @Test func readsTheSameWhereverTheBytesAreSplit() {
    let bytes = Array(Self.sample.utf8)
    for split in 0...bytes.count {
      #expect(events(of: [bytes[..<split], bytes[split...]]) == Self.expected, "at \(split)")
    }
    #expect(events(of: bytes.indices.map { bytes[$0...$0] }) == Self.expected)
  }

  @Test func readsARefusal() {
    let bytes = Array("HTTP/1.1 503 Service Unavailable\r\n\r\nno room\n".utf8)
    #expect(events(of: [bytes[...]]) == [.head(status: 503)])
  }

  @Test func aConnectionIsAFewDozenBytes() {
    #expect(MemoryLayout<ClientConnection>.stride == 56)
  }
}
