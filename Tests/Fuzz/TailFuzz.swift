@testable import Millstream

/// Any bytes, as what a server answers to a client of ours: the head, the chunks, and the events, in pieces
/// and at once, the events also as a browser reads them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTail(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  var body = bytes[...]
  if let (head, length) = ResponseHead.parse(bytes) {
    precondition((1...size).contains(length))
    precondition((0...Int64(UInt32.max)).contains(head.retryAfterSeconds ?? 0), "no pause")
    body = bytes[length...]
  }
  checkChunks(body)
  checkEvents(bytes)
  checkEvents(Array(body))
  return 0
}

private func checkChunks(_ bytes: ArraySlice<UInt8>) {
  var whole = ChunkDecoder()
  var pieces = ChunkDecoder()
  let body = whole.decode(bytes)
  precondition(bytes.flatMap { pieces.decode([$0]) } == body, "the pieces matter")
  precondition(pieces.isDone == whole.isDone && pieces.isMalformed == whole.isMalformed)
  // In chunks of some lengths it is what it was.
  var chunked: [UInt8] = []
  var rest = bytes
  while let length = rest.first.map({ 1 + Int($0) % 40 }) {
    let chunk = rest.prefix(length)
    chunked += Array((String(chunk.count, radix: 16) + "\r\n").utf8) + chunk + [13, 10]
    rest = rest.dropFirst(length)
  }
  var decoder = ChunkDecoder()
  precondition(decoder.decode((chunked + Array("0\r\n\r\n".utf8))[...]).elementsEqual(bytes))
  precondition(decoder.isDone)
}

private func checkEvents(_ bytes: [UInt8]) {
  var whole = EventStreamParser()
  let items = whole.consume(bytes)
  var pieces = EventStreamParser()
  var single: [EventStreamParser.Item] = []
  // A mark of the byte order is no part of the text.
  let mark: [UInt8] = [0xef, 0xbb, 0xbf]
  var expected = BrowserParser(Array(bytes.dropFirst(bytes.starts(with: mark) ? 3 : 0))).events[...]
  for byte in bytes {
    for item in pieces.consume(CollectionOfOne(byte)) {
      single.append(item)
      guard case .event(let event) = item else { continue }
      check(event, cursor: pieces.lastEventID, expected.popFirst())
    }
  }
  precondition(single == items && pieces.lastEventID == whole.lastEventID, "the pieces matter")
  precondition(expected.isEmpty && pieces.retryMs == whole.retryMs, "a browser sees more")
  precondition(whole.retryMs ?? 0 >= 0)
}

private func check(_ event: EventStreamParser.Event, cursor: String, _ expected: BrowserEvent?) {
  guard let expected else { preconditionFailure("a browser sees less") }
  precondition(event.type == String(decoding: expected.type, as: UTF8.self))
  precondition(event.data == String(decoding: expected.data, as: UTF8.self))
  precondition(cursor == String(decoding: expected.lastEventID, as: UTF8.self))
  precondition(event.id ?? cursor == cursor)
  let shown = EventPrinter(isRaw: true, isForTerminal: true, count: nil).text(of: event)
  precondition(PrintableText.lines(shown) == shown, "a terminal is told what to do")
}
