@testable import Millstream

/// Any bytes, as what one process asks others about members, and as names that are asked about.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPresence(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  if let keys = PresenceQuestion.keys(bytes) { checkQuestions(keys) }
  checkQuestions(keys(in: Array(bytes)))
  return 0
}

/// Text by text: the stream's name, and the member's.
private func keys(in bytes: [UInt8]) -> [PresenceKey] {
  let texts = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
    String(decoding: $0, as: UTF8.self)
  }
  return zip(texts, texts.dropFirst()).enumerated().compactMap { place, pair in
    guard pair.0.utf8.count <= SignedNames.maximumNameBytes else { return nil }
    let store = place % 2 == 0 ? StoreKind.pgmq : .native
    let stream = PresenceStream(store: store, name: Array(pair.0.utf8))
    return PresenceKey(stream, memberNamed: pair.1)
  }
}

/// Whoever is asked reads the same members in the same order.
private func checkQuestions(_ keys: [PresenceKey]) {
  let payloads = PresenceQuestion.payloads(keys)
  let read = payloads.map { payload in payload.withUnsafeBytes { PresenceQuestion.keys($0) } }
  precondition(read.allSatisfy { $0?.isEmpty == false }, "a question of ours is not understood")
  precondition(read.flatMap { $0 ?? [] } == keys, "others are asked about")
  let areShort = keys.allSatisfy {
    $0.stream.name.count <= SignedNames.maximumNameBytes
      && $0.member.count <= PresenceKey.maximumMemberBytes
  }
  // Postgres takes no more than 7,999 bytes.
  precondition(!areShort || payloads.allSatisfy { $0.count < 8_000 }, "it cannot be notified")
}
