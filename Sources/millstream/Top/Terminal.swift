import Glibc

/// The terminal at standard output, as a whole screen that is given back at the end.
enum Terminal {
  // Lines are cut to its width, but some characters take two places: what goes beyond must not take a line more.
  private static let enter: StaticString = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l"
  private static let leave: StaticString = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"

  static var isThere: Bool { isatty(STDOUT_FILENO) == 1 }

  /// It understands no commands, as in an editor.
  static var isDumb: Bool { getenv("TERM").map { String(cString: $0) == "dumb" } ?? false }

  static var hasColors: Bool {
    let isUnwanted = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
    return !isUnwanted && !isDumb
  }

  /// Asked for anew each time: it may have been resized.
  static var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
    else {
      return (80, 24)
    }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Takes the screen until a signal ends the program, which is how a person ends it.
  static func takeScreen() {
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { _ in
        Terminal.say(Terminal.leave)
        _exit(0)
      }
    }
    signal(SIGTSTP) { _ in
      Terminal.say(Terminal.leave)
      raise(SIGSTOP)
      Terminal.say(Terminal.enter)
    }
    say(enter)
  }

  static func giveScreenBack() { say(leave) }

  /// Each line over what was there, so that nothing flickers.
  static func show(_ lines: [String]) {
    let text = lines.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n")
    var bytes = Array(("\u{1b}[H" + text + "\u{1b}[J").utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count < 0 && errno != EINTR { return }
      bytes = bytes.dropFirst(max(count, 0))
    }
  }

  /// Safe in a signal's handler.
  private static func say(_ text: StaticString) {
    _ = write(STDOUT_FILENO, text.utf8Start, text.utf8CodeUnitCount)
  }
}
