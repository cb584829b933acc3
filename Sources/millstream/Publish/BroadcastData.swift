import ArgumentParser

/// What is published, checked before Postgres sees it, so that the reason can be told in full.
enum BroadcastData {
  /// The bytes as text.
  /// - Throws: `ValidationError` that says where the first byte stands that cannot be stored.
  static func text(_ bytes: [UInt8]) throws(ValidationError) -> String {
    if let problem = problem(in: bytes) { throw ValidationError("the data \(problem)") }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// What is wrong with the bytes; nil if they are well-formed UTF-8 without NUL. Offsets are from 0.
  static func problem(in bytes: [UInt8]) -> String? {
    let nul = bytes.firstIndex(of: 0)
    let broken = firstIllFormed(in: bytes)
    if let nul, nul < broken ?? Int.max {
      return "has a NUL at byte \(nul), which Postgres cannot store as text"
    }
    guard let broken else { return nil }
    let hex = String(bytes[broken], radix: 16)
    return "is not valid UTF-8 at byte \(broken) (0x\(hex.count == 1 ? "0" : "")\(hex))"
  }

  private static func firstIllFormed(in bytes: [UInt8]) -> Int? {
    var decoder = UTF8()
    var consumed = 0
    var source = bytes.makeIterator()
    while true {
      switch decoder.decode(&source) {
      case .scalarValue(let scalar): consumed += UTF8.width(scalar)
      case .emptyInput: return nil
      case .error: return consumed
      }
    }
  }

  /// - Throws: `ValidationError` for a name that would end its line, or that clients would not get.
  static func checkEvent(_ event: String) throws(ValidationError) {
    if event.utf8.contains(where: { $0 == 0x0a || $0 == 0x0d }) {
      throw ValidationError("--event has a line break, which would end the name")
    }
    if event.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) {
      throw ValidationError("--event is blank: leave it out for the default")
    }
    if event.unicodeScalars.contains("\u{fffd}") {
      throw ValidationError("--event is not valid UTF-8")
    }
  }
}
