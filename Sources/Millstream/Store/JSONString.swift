/// A JSON string (RFC 8259, 7) that the scanner has checked: what stands between the quotes.
///
/// It borrows the text that was scanned.
package struct JSONString {
  let contents: UnsafeRawBufferPointer

  private static let backslash = UInt8(ascii: "\\")

  /// The text as UTF-8; nil only for contents that no scanner has checked.
  package func unescaped() -> [UInt8]? {
    var text: [UInt8] = []
    text.reserveCapacity(contents.count)
    var place = 0
    while place < contents.count {
      guard contents[place] == JSONString.backslash else {
        text.append(contents[place])
        place += 1
        continue
      }
      guard let escape = JSONEscape(in: contents, at: place) else { return nil }
      UTF8.encode(escape.scalar)?.forEach { text.append($0) }
      place += escape.length
    }
    return text
  }

  /// Whether the string is `text`, however it is escaped.
  func equals(_ text: StaticString) -> Bool {
    guard contents.contains(JSONString.backslash) else { return ASCII.equals(contents, text) }
    return unescaped().map { ASCII.equals($0, text) } ?? false
  }

  /// The text in quotes, escaped no more than needed, which is how Ruby's `JSON` writes it. (Turbo
  /// and pgbus sign with that and not with `ActiveSupport::JSON`, which also escapes `<`, `>`, `&`
  /// and two kinds of line ends for the sake of HTML.)
  static func encode(_ text: some Collection<UInt8>) -> [UInt8] {
    var json = [UInt8(ascii: "\"")]
    json.reserveCapacity(text.count + 2)
    for byte in text {
      if byte == UInt8(ascii: "\"") || byte == backslash {
        json.append(backslash)
        json.append(byte)
      } else if byte < 0x20 {
        appendEscape(of: byte, to: &json)
      } else {
        json.append(byte)
      }
    }
    json.append(UInt8(ascii: "\""))
    return json
  }

  private static func appendEscape(of control: UInt8, to json: inout [UInt8]) {
    json.append(backslash)
    switch control {
    case 0x08: json.append(UInt8(ascii: "b"))
    case 0x09: json.append(UInt8(ascii: "t"))
    case 0x0a: json.append(UInt8(ascii: "n"))
    case 0x0c: json.append(UInt8(ascii: "f"))
    case 0x0d: json.append(UInt8(ascii: "r"))
    default:
      json.append(contentsOf: [UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0")])
      json.append(contentsOf: Hexadecimal.encode(CollectionOfOne(control)))
    }
  }
}

/// What a backslash in a JSON string begins: one character, written with one escape or with two
/// that are the halves of a surrogate pair.
struct JSONEscape {
  let scalar: Unicode.Scalar
  /// The number of bytes from the backslash on: 2, 6 or 12.
  let length: Int

  /// Nil when the escape is cut off, unknown, or half a surrogate pair.
  init?(in text: UnsafeRawBufferPointer, at backslash: Int) {
    guard text.count - backslash >= 2 else { return nil }
    if let scalar = JSONEscape.scalar(of: text[backslash + 1]) {
      (self.scalar, length) = (scalar, 2)
      return
    }
    guard let unit = JSONEscape.unit(in: text, at: backslash) else { return nil }
    if let scalar = Unicode.Scalar(unit) {
      (self.scalar, length) = (scalar, 6)
      return
    }
    // Only surrogates are no characters: the first half has to be followed by the second.
    guard UTF16.isLeadSurrogate(unit), let trail = JSONEscape.unit(in: text, at: backslash + 6),
      UTF16.isTrailSurrogate(trail)
    else { return nil }
    scalar = UTF16.decode(UTF16.EncodedScalar([unit, trail]))
    length = 12
  }

  private static func scalar(of letter: UInt8) -> Unicode.Scalar? {
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): Unicode.Scalar(letter)
    case UInt8(ascii: "b"): "\u{8}"
    case UInt8(ascii: "t"): "\t"
    case UInt8(ascii: "n"): "\n"
    case UInt8(ascii: "f"): "\u{c}"
    case UInt8(ascii: "r"): "\r"
    default: nil
    }
  }

  /// The number that `\uXXXX` names.
  private static func unit(in text: UnsafeRawBufferPointer, at backslash: Int) -> UInt16? {
    guard text.count - backslash >= 6, text[backslash] == UInt8(ascii: "\\"),
      text[backslash + 1] == UInt8(ascii: "u")
    else { return nil }
    var unit: UInt16 = 0
    for place in (backslash + 2)..<(backslash + 6) {
      guard let digit = Hexadecimal.value(of: text[place]) else { return nil }
      unit = unit << 4 | UInt16(digit)
    }
    return unit
  }
}
