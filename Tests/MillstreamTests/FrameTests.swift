import Testing

@testable import Millstream

/// The frames of the wire reference, byte for byte.
@Suite struct FrameTests {
  @Test(arguments: [
    ("<p>Hi</p>", "id: 1248\nevent: turbo-stream\ndata: <p>Hi</p>\n\n"),
    ("", "id: 1248\nevent: turbo-stream\ndata: \n\n"),
    ("a\nb\rc\r\nd", "id: 1248\nevent: turbo-stream\ndata: a\ndata: b\ndata: c\ndata: d\n\n"),
    ("a\n\nb\r\n", "id: 1248\nevent: turbo-stream\ndata: a\ndata: \ndata: b\ndata: \n\n"),
    ("\r\r\n\n", "id: 1248\nevent: turbo-stream\ndata: \ndata: \ndata: \ndata: \n\n"),
  ])
  func everyLineOfThePayloadIsADataLine(data: String, frame: String) {
    #expect(encoded(id: 1248, data) == frame)
  }

  @Test(
    arguments: [
      (nil, "turbo-stream"), ("presence", "presence"), ("", "turbo-stream"),
      (" \t", "turbo-stream"), ("a\nb", "turbo-stream"), ("a\rb", "turbo-stream"), ("a b", "a b"),
    ] as [(String?, String)])
  func nameOfTheEvent(given: String?, used: String) {
    #expect(encoded(id: 1, "x", event: given) == "id: 1\nevent: \(used)\ndata: x\n\n")
  }

  @Test func ephemeralFrameHasNoID() {
    #expect(encoded(id: nil, "x") == "event: turbo-stream\ndata: x\n\n")
  }

  @Test(arguments: [
    (UInt32(1), "id: 7-1"), (0x0a0b, "id: 7-a0b"), (0xffff_ffff, "id: 7-ffffffff"), (0, "id: 7-0"),
  ])
  func epochIsPartOfTheID(epoch: UInt32, line: String) {
    #expect(encoded(id: 7, "x", epoch: epoch).hasPrefix(line + "\n"))
  }

  @Test(arguments: [1, 9, 10, 99, 100, Int64.max])
  func idsAreDecimal(id: Int64) {
    #expect(encoded(id: id, "x").hasPrefix("id: \(id)\n"))
  }

  @Test func controlFrames() {
    let opening = ControlFrames.opening(
      retryMs: 2000, since: 0, name: "chat",
      connection: ConnectionID(value: 0x9f86_d081_884c_7d65))
    #expect(
      text(opening) == """
        retry: 2000

        : pgbus stream open since_id=0 stream=chat

        event: pgbus:connected
        data: {"connectionId":"9f86d081884c7d65"}


        """)
    #expect(
      text(ControlFrames.heartbeat(unixSeconds: 1_700_000_015)) == ": heartbeat 1700000015\n\n")
    #expect(
      text(ControlFrames.gap(lastSeen: 1100, oldest: 1180))
        == "event: pgbus:gap-detected\ndata: {\"lastSeenId\":1100,\"archiveOldestId\":1180}\n\n")
    #expect(
      text(ControlFrames.goodbye)
        == "event: pgbus:shutdown\ndata: {\"reason\":\"worker_restart\"}\n\n")
  }

  private func encoded(
    id: Int64?, _ data: String, event: String? = nil, epoch: UInt32? = nil
  ) -> String {
    let chunk = Chunk(start: 0, capacity: 4096)
    withMessage(id: id, data, event: event) {
      #expect(chunk.append($0, afterID: 0, epoch: epoch))
    }
    return text(Array(UnsafeRawBufferPointer(start: chunk.base, count: chunk.count)))
  }

  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}

/// Lends a message made of strings.
func withMessage(
  id: Int64?, _ data: String, event: String? = nil, visibleTo: String? = nil,
  exclude: String? = nil, _ body: (Message) -> Void
) {
  let texts = [data, event, visibleTo, exclude].map { $0.map { Array($0.utf8) } }
  let borrowed = texts.map { bytes in
    bytes.map { bytes in
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
      copy.copyBytes(from: bytes)
      return copy
    }
  }
  defer { for buffer in borrowed { buffer?.deallocate() } }
  body(
    Message(
      id: id, data: UnsafeRawBufferPointer(borrowed[0]!),
      event: borrowed[1].map { UnsafeRawBufferPointer($0) },
      visibleTo: borrowed[2].map { UnsafeRawBufferPointer($0) },
      exclude: borrowed[3].map { UnsafeRawBufferPointer($0) }))
}
