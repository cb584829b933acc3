/// One character in UTF-8 (Unicode, table 3-7: no overlong forms, no surrogates, at most U+10FFFF).
enum UTF8Sequence {
  /// How many bytes the character takes that begins at `start`; nil when none well-formed does.
  static func length(in text: UnsafeRawBufferPointer, at start: Int) -> Int? {
    let (length, second) = shape(of: text[start])
    if length <= 1 { return length == 1 ? 1 : nil }
    guard text.count - start >= length, second.contains(text[start + 1]) else { return nil }
    for place in (start + 2)..<(start + length) where text[place] & 0xc0 != 0x80 { return nil }
    return length
  }

  /// The length that a first byte announces, 0 for none, and what the second byte may be.
  private static func shape(of first: UInt8) -> (length: Int, second: ClosedRange<UInt8>) {
    switch first {
    case 0x00...0x7f: (1, 0x80...0xbf)
    case 0xc2...0xdf: (2, 0x80...0xbf)
    case 0xe0: (3, 0xa0...0xbf)
    case 0xed: (3, 0x80...0x9f)
    case 0xe1...0xef: (3, 0x80...0xbf)
    case 0xf0: (4, 0x90...0xbf)
    case 0xf1...0xf3: (4, 0x80...0xbf)
    case 0xf4: (4, 0x80...0x8f)
    default: (0, 0x80...0xbf)
    }
  }
}
