import Testing

@testable import millstream

@Suite struct PrintableTextTests {
  /// All that a terminal could obey: the controls of ASCII, DEL, and those of one byte in Latin-1.
  static let controls = (Array(0..<0x20) + Array(0x7f...0x9f)).map { Unicode.Scalar(UInt8($0)) }

  @Test func noControlIsLeft() {
    for control in Self.controls {
      let isKept = control == "\n" || control == "\t"
      let text = "a\(control)b"
      #expect(PrintableText.line(text) == "a\u{fffd}b", "\(control.value)")
      #expect(PrintableText.lines(text) == (isKept ? text : "a\u{fffd}b"), "\(control.value)")
    }
  }

  /// Names may hold what moves the cursor, and what turns text around.
  @Test func whatTurnsTextOrEndsLinesIsLeftOut() {
    #expect(
      PrintableText.line("a\u{9b}2Jb\u{1b}[mc\u{202e}d\u{2028}é")
        == "a\u{fffd}2Jb\u{fffd}[mc\u{fffd}d\u{fffd}é")
    #expect(PrintableText.lines("a\r\nb") == "a\u{fffd}\nb")
  }

  @Test(arguments: ["", "نامه\u{200c}ای", "👩\u{200d}👧", "e\u{301}", "🇸🇮 漢字"])
  func ordinaryTextStays(text: String) {
    #expect(PrintableText.line(text).unicodeScalars.elementsEqual(text.unicodeScalars))
  }

  @Test func whatIsNoUTF8IsNoCommand() {
    let bytes: [UInt8] = [0x61, 0x9b, 0x32, 0x4a, 0xc0, 0x9b, 0xff]
    let text = PrintableText.lines(String(decoding: bytes, as: UTF8.self))
    #expect(text.unicodeScalars.allSatisfy { !Self.controls.contains($0) })
  }

  @Test func aFailureTellsATerminalNothing() {
    #expect(
      OperatingFailure("the server says 404 \u{1b}[2J").description.hasSuffix("404 \u{fffd}[2J"))
  }
}
