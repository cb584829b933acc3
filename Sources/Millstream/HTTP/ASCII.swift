/// The classes of bytes that HTTP's grammar is made of (RFC 5234, RFC 9110).
enum ASCII {
  static let carriageReturn = UInt8(ascii: "\r")
  static let lineFeed = UInt8(ascii: "\n")
  static let space = UInt8(ascii: " ")
  static let tab = UInt8(ascii: "\t")

  /// 0x00 to 0x1f, and 0x7f.
  static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7f }

  /// VCHAR: what is printed and takes place.
  static func isVisible(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7f }

  static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }

  static func isLetter(_ byte: UInt8) -> Bool {
    lowercased(byte) >= UInt8(ascii: "a") && lowercased(byte) <= UInt8(ascii: "z")
  }

  /// OWS: what may stand around a field's value (RFC 9110, 5.6.3).
  static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

  /// tchar: what methods and field names are made of (RFC 9110, 5.6.2).
  static func isToken(_ byte: UInt8) -> Bool {
    if isLetter(byte) || isDigit(byte) { return true }
    switch byte {
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"),
      UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
      UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^"), UInt8(ascii: "_"),
      UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
      return true
    default:
      return false
    }
  }

  static func lowercased(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
  }

  /// Whether the bytes are `text`, letter for letter.
  static func equals(_ bytes: some Collection<UInt8>, _ text: StaticString) -> Bool {
    text.withUTF8Buffer { bytes.elementsEqual($0) }
  }

  /// Whether the bytes are `text` when the case of ASCII letters does not count.
  static func equalsIgnoringCase(_ bytes: some Collection<UInt8>, _ text: StaticString) -> Bool {
    text.withUTF8Buffer { equalsIgnoringCase(bytes, $0) }
  }

  static func equalsIgnoringCase(
    _ bytes: some Collection<UInt8>, _ expected: some Collection<UInt8>
  ) -> Bool {
    bytes.elementsEqual(expected) { lowercased($0) == lowercased($1) }
  }
}
