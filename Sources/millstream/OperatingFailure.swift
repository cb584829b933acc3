/// Why a command could not do its work: one line that says what is wrong and what to do. The command
/// then exits 1, where a wrong flag or argument (`ValidationError`) exits 64.
struct OperatingFailure: Error, CustomStringConvertible {
  let description: String

  /// What a server or Postgres says may be in it, and it is printed in a terminal.
  init(_ description: String) {
    self.description = PrintableText.lines(description)
  }
}
