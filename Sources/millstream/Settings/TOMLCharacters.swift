/// What the bytes of a TOML file may be.
enum TOMLCharacters {
  /// The whole has to be UTF-8 without control characters but tabs and line ends.
  ///
  /// - Throws: the first line that is not.
  static func check(_ bytes: [UInt8]) throws(TOMLError) {
    // It cannot be seen in an editor, and other readers refuse it, too.
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) {
      throw TOMLError(line: 1, message: "there is a byte order mark: save the file without it")
    }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      // The last one ends with the file.
      let hasReturn = line.last == UInt8(ascii: "\r") && index < lines.count - 1
      let text = hasReturn ? line.dropLast() : line
      if text.contains(where: { ($0 < 0x20 && $0 != UInt8(ascii: "\t")) || $0 == 0x7f }) {
        throw TOMLError(line: index + 1, message: "there is a control character")
      }
      guard String(validating: text, as: UTF8.self) != nil else {
        throw TOMLError(line: index + 1, message: "this is not valid UTF-8")
      }
    }
  }

  static func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
  }

  static func endsLine(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
  }

  /// Of names without quotes.
  static func isBare(_ byte: UInt8) -> Bool {
    isHexadecimal(byte) || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
      || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
  }

  static func isHexadecimal(_ byte: UInt8) -> Bool {
    isDigit(byte) || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"))
  }

  static func endsWord(_ byte: UInt8) -> Bool {
    isSpace(byte) || endsLine(byte) || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]")
      || byte == UInt8(ascii: "#")
  }

  /// Digits with a sign and single underscores between them, and without a leading zero.
  static func isInteger(_ word: String) -> Bool {
    let digits =
      word.utf8.first.map { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") } == true
      ? word.dropFirst() : word[...]
    if digits == "0" { return true }
    guard digits.first != "0" else { return false }
    return digits.split(separator: "_", omittingEmptySubsequences: false).allSatisfy { group in
      !group.isEmpty && group.utf8.allSatisfy(isDigit)
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }
}
