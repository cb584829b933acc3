/// Checks a JSON text (RFC 8259, strictly: UTF-8, no trailing commas, no half surrogate pairs) and
/// finds the values in it. It allocates nothing and borrows the text.
package struct JSONScanner {
  /// How deep objects and arrays may stand in each other; what is deeper counts as malformed.
  static let maximumDepth = 64

  private let text: UnsafeRawBufferPointer
  private var position = 0

  init(_ text: UnsafeRawBufferPointer) {
    self.text = text
  }

  /// The one value that the whole text is; nil when it is malformed.
  package static func value(of text: UnsafeRawBufferPointer) -> JSONValue? {
    var scanner = JSONScanner(text)
    guard let value = scanner.value(), scanner.isAtEnd() else { return nil }
    return value
  }

  /// The value that begins here, blanks before it left out; nil when it is malformed.
  mutating func value(depth: Int = 0) -> JSONValue? {
    skipBlanks()
    let start = position
    guard let kind = kind(depth: depth) else { return nil }
    return JSONValue(kind: kind, raw: UnsafeRawBufferPointer(rebasing: text[start..<position]))
  }

  /// Whether nothing but blanks is left.
  mutating func isAtEnd() -> Bool {
    skipBlanks()
    return position == text.count
  }

  /// Steps over `byte` and the blanks before it, if it comes next.
  mutating func skip(_ byte: UInt8) -> Bool {
    skipBlanks()
    guard next == byte else { return false }
    position += 1
    return true
  }

  /// What stands where the next item of an object or array is looked for.
  enum Place {
    case item
    /// It is complete and nothing but blanks follows it.
    case end
    case malformed
  }

  /// Steps over what stands before the next item of what ends with `close`: a comma, but for the first.
  mutating func place(isFirst: Bool, close: UInt8) -> Place {
    if skip(close) { return isAtEnd() ? .end : .malformed }
    return isFirst || skip(UInt8(ascii: ",")) ? .item : .malformed
  }

  /// The name of a member and the colon behind it.
  mutating func key() -> JSONString? {
    skipBlanks()
    guard next == UInt8(ascii: "\""), let key = value(), skip(UInt8(ascii: ":")) else { return nil }
    return key.string
  }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipBlanks() {
    while let byte = next,
      ASCII.isBlank(byte) || byte == ASCII.lineFeed || byte == ASCII.carriageReturn
    {
      position += 1
    }
  }

  /// Steps over one value and says what it was.
  private mutating func kind(depth: Int) -> JSONValue.Kind? {
    switch next {
    case UInt8(ascii: "{"): object(depth: depth + 1) ? .object : nil
    case UInt8(ascii: "["): array(depth: depth + 1) ? .array : nil
    case UInt8(ascii: "\""): string() ? .string : nil
    case UInt8(ascii: "t"): literal("true") ? .true : nil
    case UInt8(ascii: "f"): literal("false") ? .false : nil
    case UInt8(ascii: "n"): literal("null") ? .null : nil
    default: number() ? .number : nil
    }
  }

  private mutating func object(depth: Int) -> Bool {
    position += 1
    guard depth <= JSONScanner.maximumDepth else { return false }
    if skip(UInt8(ascii: "}")) { return true }
    repeat {
      guard key() != nil, value(depth: depth) != nil else { return false }
    } while skip(UInt8(ascii: ","))
    return skip(UInt8(ascii: "}"))
  }

  private mutating func array(depth: Int) -> Bool {
    position += 1
    guard depth <= JSONScanner.maximumDepth else { return false }
    if skip(UInt8(ascii: "]")) { return true }
    repeat {
      guard value(depth: depth) != nil else { return false }
    } while skip(UInt8(ascii: ","))
    return skip(UInt8(ascii: "]"))
  }

  private mutating func literal(_ word: StaticString) -> Bool {
    let length = word.utf8CodeUnitCount
    guard ASCII.equals(text[position...].prefix(length), word) else { return false }
    position += length
    return true
  }

  private mutating func string() -> Bool {
    position += 1
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return true
      case UInt8(ascii: "\\"):
        guard let escape = JSONEscape(in: text, at: position) else { return false }
        position += escape.length
      case 0x20...:
        guard let length = UTF8Sequence.length(in: text, at: position) else { return false }
        position += length
      default:
        return false
      }
    }
    return false
  }

  /// `-`? digits without a leading zero, then a fraction, then an exponent, as there are.
  private mutating func number() -> Bool {
    skip(anyOf: "-")
    if next == UInt8(ascii: "0") {
      position += 1
    } else {
      guard skipDigits() else { return false }
    }
    if skip(anyOf: "."), !skipDigits() { return false }
    if skip(anyOf: "eE") {
      skip(anyOf: "+-")
      return skipDigits()
    }
    return true
  }

  @discardableResult
  private mutating func skip(anyOf choices: StaticString) -> Bool {
    guard let byte = next, choices.withUTF8Buffer({ $0.contains(byte) }) else { return false }
    position += 1
    return true
  }

  private mutating func skipDigits() -> Bool {
    let start = position
    while let byte = next, ASCII.isDigit(byte) { position += 1 }
    return position > start
  }
}
