@testable import Millstream

/// Any bytes, as a client's first ones. What must hold: a head that comes in pieces gets the verdict
/// that it gets at once, a verdict is given within the limit, and what is let in obeys the rules.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequestParser(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  var shown = 0
  let inPieces = parseByteByByte(bytes, &shown)
  var parser = RequestParser()
  let atOnce = parser.parse(UnsafeRawBufferPointer(rebasing: bytes[..<shown]))
  precondition(atOnce == inPieces, "the pieces matter")

  var whole = RequestParser()
  let outcome = whole.parse(bytes)
  if case .complete = inPieces, shown < size {
    precondition(outcome == .invalid(.unexpectedBytes), "bytes behind the head were let in")
  } else {
    precondition(outcome == inPieces, "more bytes changed the verdict")
  }
  precondition(outcome != .incomplete || size < RequestParser.maximumHeadBytes)
  if case .complete(let head) = outcome { check(head) }
  return 0
}

private func parseByteByByte(
  _ bytes: UnsafeRawBufferPointer, _ shown: inout Int
) -> RequestParser.Outcome {
  var parser = RequestParser()
  var outcome = RequestParser.Outcome.incomplete
  while outcome == .incomplete && shown < bytes.count {
    shown += 1
    outcome = parser.parse(UnsafeRawBufferPointer(rebasing: bytes[..<shown]))
  }
  return outcome
}

private func check(_ head: RequestHead) {
  precondition(head.path.first == UInt8(ascii: "/"))
  precondition(head.path.allSatisfy { ASCII.isVisible($0) && $0 != UInt8(ascii: "?") })
  precondition(head.query?.allSatisfy(ASCII.isVisible) ?? true)
  precondition(head.count(of: "host") == 1 || head.minorVersion == 0)
  precondition(head.count(of: "transfer-encoding") == 0)
  for name: StaticString in ["host", "last-event-id", "origin"] {
    guard let value = head.value(of: name) else { continue }
    precondition(value.allSatisfy { $0 == ASCII.tab || !ASCII.isControl($0) })
    precondition(!(value.first.map(ASCII.isBlank) ?? false))
    precondition(!(value.last.map(ASCII.isBlank) ?? false))
  }
  if let token = try? head.token() { precondition(token.count < RequestParser.maximumHeadBytes) }
  if case .after(let id, _) = CursorRequest(head, allowsEpoch: true) { precondition(id >= 0) }
  if let path = PercentEncoding.decode(head.path) { precondition(path.count <= head.path.count) }
}
