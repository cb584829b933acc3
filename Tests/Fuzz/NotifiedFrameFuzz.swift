@testable import Millstream

/// From the payload of a notification to what a browser sees: any bytes as the payload, and any text
/// as the data and the event of a message that is put into one.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNotifiedFrame(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  if let payload = NativePayload(bytes), let data = payload.data {
    checkFrame(id: payload.id, event: payload.event, data: data, epoch: payload.epoch)
  }
  if let payload = PGMQPayload(bytes) {
    checkFrame(id: nil, event: payload.event, data: payload.data, epoch: nil)
  }
  if String(validating: bytes, as: UTF8.self) != nil { checkWay(of: Array(bytes)) }
  return 0
}

/// The text before the first zero is the event, that behind it the data.
private func checkWay(of text: [UInt8]) {
  let zero = text.firstIndex(of: 0)
  let event = zero.map { Array(text[..<$0]) }
  let data = Array(text[(zero.map { $0 + 1 } ?? 0)...])
  let type = event.map(JSONString.encode) ?? Array("null".utf8)
  let native =
    Array(#"{"s":"a","e":4294967295,"i":9223372036854775807,"t":"#.utf8) + type
    + Array(#","d":"#.utf8) + JSONString.encode(data) + Array("}".utf8)
  let pgmq =
    Array(#"{"event":"#.utf8) + type + Array(#","html":"#.utf8) + JSONString.encode(data)
    + Array("}".utf8)
  guard let native = native.withUnsafeBytes({ NativePayload($0) }),
    let pgmq = pgmq.withUnsafeBytes({ PGMQPayload($0) })
  else { preconditionFailure("a payload of ours is refused") }
  precondition(native.data == data && native.event == event && native.id == .max)
  precondition(pgmq.data == data && pgmq.event == event)
  checkFrame(id: native.id, event: native.event, data: data, epoch: native.epoch)
  checkFrame(id: nil, event: pgmq.event, data: data, epoch: nil)
}

private func checkFrame(id: Int64?, event: [UInt8]?, data: [UInt8], epoch: UInt32?) {
  let parser = BrowserParser(frame(id: id, event: event, data: data, epoch: epoch))
  let expected = BrowserEvent(
    type: Promise.type(event), data: Promise.data(data),
    lastEventID: id.map { Promise.id($0, epoch) } ?? [])
  precondition(parser.events == [expected], "a browser sees something else")
}
