/// Base64 with the standard alphabet and padding (RFC 4648, 4), and nothing else: no blanks, no
/// line breaks, no missing padding, no bits that mean nothing. (libcrypto's decoder lets these
/// pass; Ruby's `strict_decode64`, which Rails uses, does not.)
enum Base64 {
  private static let padding = UInt8(ascii: "=")

  static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var rest = bytes.makeIterator()
    while let first = rest.next() {
      let second = rest.next()
      let third = second == nil ? nil : rest.next()
      text.append(digit(first >> 2))
      text.append(digit(first << 4 & 0x30 | (second ?? 0) >> 4))
      text.append(second.map { digit($0 << 2 & 0x3c | (third ?? 0) >> 6) } ?? padding)
      text.append(third.map { digit($0 & 0x3f) } ?? padding)
    }
    return text
  }

  /// The bytes; nil when the text is anything that `encode` does not give.
  static func decode(_ text: some BidirectionalCollection<UInt8>) -> [UInt8]? {
    let length = text.count
    guard length % 4 == 0 else { return nil }
    var digits = text[...]
    for _ in 0..<2 where digits.last == padding { digits.removeLast() }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(length / 4 * 3)
    var bits: UInt32 = 0
    var bitCount = 0
    for digit in digits {
      guard let value = value(of: digit) else { return nil }
      bits = bits << 6 | UInt32(value)
      bitCount += 6
      guard bitCount >= 8 else { continue }
      bitCount -= 8
      bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
    }
    // One digit alone says no byte, and what is left of the last one has to be zero.
    let leftOver = bits & ((1 << UInt32(bitCount)) - 1)
    return bitCount < 6 && leftOver == 0 ? bytes : nil
  }

  /// The digit of six bits.
  static func digit(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }

  private static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): digit - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
