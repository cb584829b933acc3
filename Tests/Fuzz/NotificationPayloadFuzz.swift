@testable import Millstream

/// Any bytes, as the payload of a notification. What must hold: what is read is text, and the walk
/// over the members agrees with the scanner about what an object is.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNotificationPayload(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  let isObject = JSONScanner.value(of: bytes)?.kind == .object
  precondition(isObject == walksToEnd(bytes), "the walk and the scanner disagree")
  let pgmq = PGMQPayload(bytes)
  precondition((pgmq != nil) == isObject)
  checkTexts([pgmq?.data, pgmq?.event, pgmq?.visibleTo, pgmq?.exclude])

  guard let native = NativePayload(bytes) else { return 0 }
  precondition(isObject && !native.stream.isEmpty && native.id ?? 1 > 0)
  precondition(NativePayload.streamName(in: bytes) == native.stream, "it goes somewhere else")
  checkTexts([native.stream, native.data, native.event, native.visibleTo, native.exclude])
  return 0
}

private func walksToEnd(_ bytes: UnsafeRawBufferPointer) -> Bool {
  guard var members = JSONMembers(of: bytes) else { return false }
  while true {
    switch members.next() {
    case .member: continue
    case .end: return true
    case .malformed: return false
    }
  }
}

private func checkTexts(_ texts: [[UInt8]?]) {
  for case .some(let text) in texts {
    precondition(String(validating: text, as: UTF8.self) != nil, "text that is not UTF-8")
  }
}
