@testable import Millstream

/// Any bytes: the query of a request for several streams, with a `Last-Event-ID` behind its first line feed,
/// and as a cursor of their own.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzStreamSet(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  checkVector(bytes)
  checkVector(Base64URL.encode(bytes))
  checkVector(Base64URL.encode([1] + bytes))
  checkRoundTrip(bytes)
  let end = bytes.firstIndex(of: ASCII.lineFeed) ?? bytes.endIndex
  checkSet(
    StreamSetQuery(bytes[..<end]), lastEventID: end < bytes.endIndex ? bytes[(end + 1)...] : nil)
  return 0
}

/// What is a cursor has one spelling of base64, and says nothing that cannot be said.
private func checkVector(_ text: [UInt8]) {
  guard let vector = CursorVector(text: text) else { return }
  precondition(Base64URL.decode(text).map(Base64URL.encode) == text, "two spellings")
  if let position = vector[CursorVector.Key("a".utf8)] { precondition(position.id >= 0) }
}

/// Takes positions from the bytes, and reads them back.
private func checkRoundTrip(_ bytes: [UInt8]) {
  var text: [UInt8] = []
  var encoder = CursorVector.Encoder(&text)
  var expected: [CursorVector.Key: CursorVector.Position] = [:]
  var rest = bytes[...]
  while rest.count >= 13 && expected.count < 2 * CursorVector.maximumStreams {
    let number = rest.prefix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    let epoch = rest.dropFirst(8).prefix(4).reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
    rest = rest.dropFirst(12)
    let key = CursorVector.Key(rest.prefix(1 + Int(rest.first ?? 0) % 4))
    rest = rest.dropFirst()
    let position = CursorVector.Position(
      id: Int64(number >> (1 + number % 60)), epoch: epoch % 3 == 0 ? nil : epoch)
    expected[key] = position
    encoder.append(key, position, to: &text)
  }
  encoder.finish(&text)
  guard let vector = CursorVector(text: text) else {
    preconditionFailure("a cursor of ours is refused")
  }
  for (key, position) in expected { precondition(vector[key] == position, "a position is lost") }
}

private func checkSet(_ query: StreamSetQuery, lastEventID: ArraySlice<UInt8>?) {
  guard let cursor = SetCursor(lastEventID: lastEventID, query: query) else { return }
  for wish in query.wishes {
    let name = String(decoding: wish.name ?? [], as: UTF8.self)
    if case .after(_, .some) = cursor.request(for: name, since: wish.since, allowsEpoch: false) {
      preconditionFailure("an epoch where there is none")
    }
    if case .after(let id, _) = cursor.request(for: name, since: wish.since, allowsEpoch: true) {
      precondition(id >= 0)
    }
    switch cursor.request(forPatternSince: wish.since) {
    case .none, .all, .invalid: break
    case .after: preconditionFailure("a pattern from the middle")
    }
  }
}
