@testable import Millstream

/// Any message: what a browser's parser makes of its frame is what went in, and nothing that is in it
/// reaches into the frames before and behind it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrameWriter(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  var bytes = Array(UnsafeRawBufferPointer(start: data, count: size))[...]
  let flags = bytes.popFirst() ?? 0
  let id = flags & 1 == 0 ? nil : Int64(truncatingIfNeeded: number(&bytes, bytes: 8)) & .max
  let epoch = flags & 2 == 0 ? nil : UInt32(truncatingIfNeeded: number(&bytes, bytes: 4))
  var event: [UInt8]?
  if flags & 4 != 0 {
    let length = Int(number(&bytes, bytes: 1))
    event = Array(bytes.prefix(length))
    bytes = bytes.dropFirst(length)
  }
  check(id: id, event: event, data: Array(bytes), epoch: epoch)
  return 0
}

private func number(_ bytes: inout ArraySlice<UInt8>, bytes count: Int) -> UInt64 {
  (0..<count).reduce(0) { number, _ in number << 8 | UInt64(bytes.popFirst() ?? 0) }
}

private func check(id: Int64?, event: [UInt8]?, data: [UInt8], epoch: UInt32?) {
  let before = frame(id: 7, event: nil, data: Array("before".utf8), epoch: nil)
  let behind = frame(id: nil, event: nil, data: [], epoch: epoch)
  let comment = Array(": heartbeat 1\n\n".utf8)
  let parser = BrowserParser(
    before + frame(id: id, event: event, data: data, epoch: epoch) + comment + behind)
  let lastID = id.map { Promise.id($0, epoch) } ?? Array("7".utf8)
  let turbo = Promise.type(nil)
  let expected = [
    BrowserEvent(type: turbo, data: Array("before".utf8), lastEventID: Array("7".utf8)),
    BrowserEvent(type: Promise.type(event), data: Promise.data(data), lastEventID: lastID),
    BrowserEvent(type: turbo, data: [], lastEventID: lastID),
  ]
  precondition(parser.events == expected, "a browser sees something else")
}
