/// Reads the part of TOML 1.0 that settings need: `name = value` with bare or quoted names; texts of one line
/// in `"…"` (with escapes) or `'…'`; whole decimal numbers; `true` and `false`; lists of those, also over
/// several lines; comments. Tables, dotted names, texts of several lines, times and fractions are refused,
/// so a file that is taken means the same to every TOML reader.
struct TOMLParser {
  private let bytes: [UInt8]
  private var offset = 0
  private var line = 1

  /// The settings in the order of the file.
  ///
  /// - Throws: the first thing that is wrong.
  static func settings(in bytes: [UInt8]) throws(TOMLError) -> [TOMLSetting] {
    try TOMLCharacters.check(bytes)
    var parser = TOMLParser(bytes: bytes)
    return try parser.settings()
  }

  private init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  private mutating func settings() throws(TOMLError) -> [TOMLSetting] {
    var settings: [TOMLSetting] = []
    var lines: [String: Int] = [:]
    skipLines()
    while current != nil {
      let setting = try setting()
      if let first = lines.updateValue(setting.line, forKey: setting.name) {
        throw TOMLError(
          line: setting.line,
          message: "'\(setting.name.prefix(64))' is set in line \(first) already")
      }
      settings.append(setting)
      try endLine()
      skipLines()
    }
    return settings
  }

  private mutating func setting() throws(TOMLError) -> TOMLSetting {
    let start = line
    let name = try name()
    skipSpace()
    if current == UInt8(ascii: ".") { throw error("there are no names with dots here") }
    guard take("=") else { throw error("a line is NAME = VALUE") }
    skipSpace()
    return TOMLSetting(name: name, value: try value(), line: start)
  }

  private mutating func name() throws(TOMLError) -> String {
    switch current {
    case UInt8(ascii: "\""), UInt8(ascii: "'"): return try text()
    case UInt8(ascii: "["): throw error("there are no tables here: all is NAME = VALUE")
    default: break
    }
    let name = take { TOMLCharacters.isBare($0) }
    if name.isEmpty { throw error("a line is NAME = VALUE, and a comment begins with '#'") }
    return name
  }

  private mutating func value() throws(TOMLError) -> TOMLValue {
    switch current {
    case UInt8(ascii: "\""), UInt8(ascii: "'"): return .text(try text())
    case UInt8(ascii: "["): return try list()
    case UInt8(ascii: "{"): throw error("there are no tables here")
    default: return try word()
    }
  }

  /// What is not in quotes.
  private mutating func word() throws(TOMLError) -> TOMLValue {
    let word = take { !TOMLCharacters.endsWord($0) }
    switch word {
    case "": throw error("there is no value")
    case "true": return .boolean(true)
    case "false": return .boolean(false)
    default: break
    }
    guard TOMLCharacters.isInteger(word) else {
      throw error("a value is a text in quotes, a whole number, true, false, or a list in [ ]")
    }
    guard let number = Int64(word.filter { $0 != "_" }) else {
      throw error("this number is too large")
    }
    return .integer(number)
  }

  private mutating func list() throws(TOMLError) -> TOMLValue {
    let start = line
    var values: [TOMLValue] = []
    _ = take("[")
    while true {
      skipLines()
      if take("]") { return .list(values) }
      switch current {
      case nil: throw TOMLError(line: start, message: "this list has no end")
      case UInt8(ascii: "["): throw error("there are no lists in lists here")
      default: values.append(try value())
      }
      skipLines()
      if take(",") || current == UInt8(ascii: "]") { continue }
      guard current != nil else { throw TOMLError(line: start, message: "this list has no end") }
      throw error("there is no ',' between two values of a list")
    }
  }

  // MARK: Text

  private mutating func text() throws(TOMLError) -> String {
    let quote = bytes[offset]
    if bytes[offset...].starts(with: [quote, quote, quote]) {
      throw error("there are no texts of several lines here")
    }
    offset += 1
    var text: [UInt8] = []
    while let byte = current, !TOMLCharacters.endsLine(byte) {
      offset += 1
      if byte == quote { return String(decoding: text, as: UTF8.self) }
      if byte == UInt8(ascii: "\\") && quote == UInt8(ascii: "\"") {
        text += try escaped()
      } else {
        text.append(byte)
      }
    }
    throw error("this text has no closing quote in its line")
  }

  /// What the letters behind a backslash stand for.
  private mutating func escaped() throws(TOMLError) -> [UInt8] {
    let letter = current ?? 0
    offset += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): return [letter]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "n"): return [0x0a]
    case UInt8(ascii: "f"): return [0x0c]
    case UInt8(ascii: "r"): return [0x0d]
    case UInt8(ascii: "u"): return try scalar(digits: 4)
    case UInt8(ascii: "U"): return try scalar(digits: 8)
    default: throw error("no such escape; a backslash is \\\\, or take single quotes")
    }
  }

  private mutating func scalar(digits: Int) throws(TOMLError) -> [UInt8] {
    let text = bytes[offset...].prefix(digits)
    let areDigits = text.count == digits && text.allSatisfy(TOMLCharacters.isHexadecimal)
    guard areDigits, let number = UInt32(String(decoding: text, as: UTF8.self), radix: 16),
      number > 0, let scalar = Unicode.Scalar(number)
    else { throw error("behind \\u are 4 and behind \\U 8 hexadecimal digits of a character") }
    offset += digits
    return Array(String(Character(scalar)).utf8)
  }

  // MARK: Reading on

  private var current: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
    guard current == UInt8(ascii: wanted) else { return false }
    offset += 1
    return true
  }

  private mutating func take(while isWanted: (UInt8) -> Bool) -> String {
    let taken = bytes[offset...].prefix(while: isWanted)
    offset += taken.count
    return String(decoding: taken, as: UTF8.self)
  }

  private mutating func skipSpace() {
    while let byte = current, TOMLCharacters.isSpace(byte) { offset += 1 }
  }

  /// Goes on to the next name or value, past comments.
  private mutating func skipLines() {
    while let byte = current {
      if byte == UInt8(ascii: "#") {
        offset += bytes[offset...].prefix { $0 != UInt8(ascii: "\n") }.count
      } else if TOMLCharacters.isSpace(byte) || TOMLCharacters.endsLine(byte) {
        if byte == UInt8(ascii: "\n") { line += 1 }
        offset += 1
      } else {
        return
      }
    }
  }

  /// Behind a value there is nothing in its line but a comment.
  private mutating func endLine() throws(TOMLError) {
    skipSpace()
    guard let byte = current, !TOMLCharacters.endsLine(byte), byte != UInt8(ascii: "#") else {
      return
    }
    throw error("there is something behind the value")
  }

  private func error(_ message: String) -> TOMLError { TOMLError(line: line, message: message) }
}
