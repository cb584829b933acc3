/// Byte strings as hexadecimal digits, two a byte.
extension Hexadecimal {
  /// Lower-case digits, as Ruby's `hexdigest` and OpenSSL write them.
  static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes {
      text.append(digit(byte >> 4))
      text.append(digit(byte & 15))
    }
    return text
  }

  /// The bytes; nil when there is an odd number of digits, or anything else between them.
  static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    guard text.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    var rest = text.makeIterator()
    while let high = rest.next(), let low = rest.next() {
      guard let high = value(of: high), let low = value(of: low) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
