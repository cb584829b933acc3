/// The name of one connection, minted by the server: 16 hexadecimal digits on the wire.
public struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
  let value: UInt64

  init(value: UInt64) {
    self.value = value
  }

  /// The name that is written so, as a number.
  public init(rawValue: UInt64) {
    value = rawValue
  }

  /// The name as a number; never 0.
  public var rawValue: UInt64 { value }

  /// Reads exactly 16 hexadecimal digits; anything else names no connection.
  package init?(text: some Collection<UInt8>) {
    guard text.count == 16 else { return nil }
    var value: UInt64 = 0
    for byte in text {
      guard let digit = Hexadecimal.value(of: byte) else { return nil }
      value = value << 4 | UInt64(digit)
    }
    self.value = value
  }

  /// The 16 digits.
  public var description: String {
    String(decoding: Hexadecimal.digits(of: value, count: 16), as: UTF8.self)
  }
}

/// Hexadecimal digits, lower-case.
enum Hexadecimal {
  /// The value of one digit of either case.
  static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// The lowest `count` digits of `value`, the most significant first.
  static func digits(of value: UInt64, count: Int) -> [UInt8] {
    (0..<count).map { place in
      let digit = UInt8(truncatingIfNeeded: value >> UInt64(4 * (count - 1 - place))) & 15
      return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }
  }
}
