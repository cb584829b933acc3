/// Base64 as tokens have it, and cursors of many streams: the alphabet for URLs, and no padding (RFC 7515, 2).
enum Base64URL {
  /// The bytes; nil for any text that `encode` does not give, so that a token has one spelling.
  static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    var standard: [UInt8] = []
    standard.reserveCapacity(text.count + 3)
    for digit in text {
      switch digit {
      case UInt8(ascii: "-"): standard.append(UInt8(ascii: "+"))
      case UInt8(ascii: "_"): standard.append(UInt8(ascii: "/"))
      case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
      default: standard.append(digit)
      }
    }
    while standard.count % 4 != 0 { standard.append(UInt8(ascii: "=")) }
    return Base64.decode(standard)
  }

  static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
    Base64.encode(bytes).compactMap { $0 == UInt8(ascii: "=") ? nil : inURL($0) }
  }

  /// The digit of six bits.
  static func digit(_ value: UInt8) -> UInt8 { inURL(Base64.digit(value)) }

  private static func inURL(_ digit: UInt8) -> UInt8 {
    switch digit {
    case UInt8(ascii: "+"): UInt8(ascii: "-")
    case UInt8(ascii: "/"): UInt8(ascii: "_")
    default: digit
    }
  }
}
