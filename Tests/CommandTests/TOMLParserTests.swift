import Testing

@testable import millstream

@Suite struct TOMLParserTests {
  private func settings(_ text: String) throws -> [TOMLSetting] {
    try TOMLParser.settings(in: Array(text.utf8))
  }

  @Test func whatSettingsNeedIsRead() throws {
    let text = """
      # A comment, größe
      bare-Key_1 = "text" # another
      "quoted key"='C:\\no "escape"'
      \tnumber =\t-1_000
      plus = +7
      nothing = 0
      yes = true\r
      no = false
      list = [ "a", 'b', # first
        3,

      ]
      empty = []
      """
    let expected: [(String, TOMLValue, Int)] = [
      ("bare-Key_1", .text("text"), 2), ("quoted key", .text("C:\\no \"escape\""), 3),
      ("number", .integer(-1000), 4), ("plus", .integer(7), 5), ("nothing", .integer(0), 6),
      ("yes", .boolean(true), 7), ("no", .boolean(false), 8),
      ("list", .list([.text("a"), .text("b"), .integer(3)]), 9), ("empty", .list([]), 13),
    ]
    #expect(
      try settings(text) == expected.map { TOMLSetting(name: $0.0, value: $0.1, line: $0.2) })
    #expect(try settings("") == [])
    #expect(try settings("\r\n# x") == [])
  }

  @Test(arguments: [
    (#""\b\t\n\f\r\"\\""#, "\u{8}\t\n\u{c}\r\"\\"), (#""\u00e4\U0001F6B0""#, "ä🚰"), (#""""#, ""),
    ("'\\u00e4'", "\\u00e4"), ("\"# no comment\"", "# no comment"),
  ])
  func textsAreUnescaped(source: String, text: String) throws {
    #expect(try settings("a = \(source)").map(\.value) == [.text(text)])
  }

  @Test(arguments: [
    // Line, a part of the message, and the file.
    (1, "NAME = VALUE", "a"), (1, "NAME = VALUE", "a b = 1"), (1, "comment", "= 1"),
    (2, "no value", "\na ="), (1, "no value", "a = # x"), (1, "no value", "a = ,"),
    (1, "behind", "a = 1 2"), (1, "behind", "a = \"x\" b = 1"), (1, "behind", "a = [1] ]"),
    (3, "line 1 already", "a = 1\nb = 1\n'a' = 2"), (2, "tables", "a = 1\n[b]"),
    (1, "tables", "a = {b = 1}"), (1, "dots", "a.b = 1"), (1, "several lines", "a = \"\"\"x\"\"\""),
    (1, "several lines", "a = '''x'''"), (1, "closing quote", "a = \"x"),
    (1, "closing quote", "a = 'x\n'"), (1, "escape", "a = \"x\\"),
    (1, "escape", "a = \"\\x41\""),
    (1, "hexadecimal", "a = \"\\u12\""), (1, "hexadecimal", "a = \"\\ud800\""),
    (1, "hexadecimal", "a = \"\\U00110000\""), (1, "hexadecimal", "a = \"\\u0000\""),
    (1, "hexadecimal", "a = \"\\u+123\""), (1, "too large", "a = 9223372036854775808"),
    (1, "whole number", "a = 1.5"), (1, "whole number", "a = 01"), (1, "whole number", "a = 1__0"),
    (1, "whole number", "a = _1"), (1, "whole number", "a = +"), (1, "whole number", "a = 0x1f"),
    (1, "whole number", "a = 2026-11-28"), (1, "whole number", "a = True"),
    (1, "whole number", "a = x"),
    (2, "no end", "\na = ["), (1, "no end", "a = [1,\n\n"), (1, "no end", "a = [1"),
    (2, "','", "a = [1\n 2]"), (1, "lists in lists", "a = [[1]]"), (1, "no value", "a = [,]"),
    (2, "control character", "a = 1\nb = \"\u{1}\""), (1, "control character", "a = 1\r"),
    (1, "control character", "# \u{7f}"),
  ])
  func whatIsNotInOrderIsSaidWithItsLine(line: Int, part: String, text: String) {
    let error = #expect(throws: TOMLError.self) { try settings(text) }
    #expect(error?.line == line)
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
  }

  @Test func textThatIsNotUTF8IsRefused() {
    let error = #expect(throws: TOMLError.self) {
      try TOMLParser.settings(in: Array("a = 1\n# ".utf8) + [0xc3])
    }
    #expect(error == TOMLError(line: 2, message: "this is not valid UTF-8"))
  }

  @Test func noErrorSaysAValue() {
    for text in [
      "a = \"geheim", "a = geheim", "a = [\"geheim\"", "a = 1 geheim", "a = \"geheim\" x",
    ] {
      let error = #expect(throws: TOMLError.self) { try settings(text) }
      #expect(error?.message.contains("geheim") == false)
    }
  }

  private static let whole = Array(
    """
    # größe
    a = "x\\n\\u00e4\\U0001F6B0" # c
    'b c' = ['1', "2", 3, -4_0, true,
      ]\r
    d = false\r
    """.utf8)

  /// Whatever comes, it is read or refused: it never traps, and the line is one of the file's.
  private func readOrRefused(_ bytes: [UInt8]) {
    do {
      _ = try TOMLParser.settings(in: bytes)
    } catch {
      let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
      #expect((1...lines).contains(error.line), "\(bytes)")
    }
  }

  @Test func everyBeginningIsReadOrRefused() {
    for count in 0...Self.whole.count {
      readOrRefused(Array(Self.whole.prefix(count)))
      readOrRefused(Array(Self.whole.suffix(count)))
    }
  }

  @Test func whateverIsChangedIsReadOrRefused() {
    var random = SystemRandomNumberGenerator()
    let pieces = Array("\"'\\[]{}=,#\n\r .uU+-_09ateé\0".utf8) + [0xff]
    for _ in 0..<20_000 {
      var bytes = Self.whole
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[place] = pieces.randomElement(using: &random)!
        case 1: bytes.insert(pieces.randomElement(using: &random)!, at: place)
        default: bytes.remove(at: place)
        }
      }
      readOrRefused(bytes)
    }
  }
}
