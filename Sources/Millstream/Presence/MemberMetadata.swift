/// What an application says of a member beside its name: a JSON object that others on the stream are shown.
enum MemberMetadata {
  /// The most bytes of JSON: with the member's name it has to fit a notification.
  static let maximumBytes = 2048

  private static let null: StaticString = #"\u0000"#

  /// The object's text; nil when it is none, is too large, or holds what Postgres cannot keep.
  static func text(of value: JSONValue) -> String? {
    guard value.kind == .object, value.raw.count <= maximumBytes, !holdsNull(value.raw),
      value.raw.count + digitsToCome(of: value.raw) <= maximumBytes
    else { return nil }
    return String(decoding: value.raw, as: UTF8.self)
  }

  /// As how many digits Postgres writes out the exponents of its numbers: `1e1000` has a thousand zeros.
  private static func digitsToCome(of text: UnsafeRawBufferPointer) -> Int {
    var digits = 0
    var isInString = false
    var place = 0
    while place < text.count {
      let byte = text[place]
      switch byte {
      case UInt8(ascii: "\\"): place += 1
      case UInt8(ascii: "\""): isInString.toggle()
      case UInt8(ascii: "e") where !isInString, UInt8(ascii: "E") where !isInString:
        // Not that of `true` and `false`.
        if ASCII.isDigit(text[place - 1]) { digits += exponent(text[(place + 1)...]) }
      default: break
      }
      place += 1
    }
    return digits
  }

  /// Its magnitude, or one that is too large in any case.
  private static func exponent(_ text: Slice<UnsafeRawBufferPointer>) -> Int {
    let digits = text.drop { !ASCII.isDigit($0) }.prefix(while: ASCII.isDigit)
    return digits.reduce(0) { min($0 * 10 + Int($1 - UInt8(ascii: "0")), maximumBytes) }
  }

  private static func holdsNull(_ text: UnsafeRawBufferPointer) -> Bool {
    let length = null.utf8CodeUnitCount
    return text.indices.contains { place in
      text[place] == null.utf8Start[0] && ASCII.equals(text[place...].prefix(length), null)
    }
  }
}
