/// What `doctor` finds, printed as it is found: a line for each check, and below it what to do.
final class DoctorReport {
  /// Whether anything is wrong, so that the command has to exit 1.
  private(set) var hasFailed = false

  func ok(_ text: String) {
    say("ok   " + text)
  }

  /// It works, but not as well as it could, or not for long.
  func warn(_ text: String, _ remedy: String) {
    say("warn " + text, remedy)
  }

  func fail(_ text: String, _ remedy: String) {
    hasFailed = true
    say("FAIL " + text, remedy)
  }

  /// A remedy may have several lines: statements to be copied.
  private func say(_ text: String, _ remedy: String) {
    let lines = remedy.split(separator: "\n").map { "\n       " + $0 }
    say(text + lines.joined())
  }

  /// Names and errors that others have written are in it, and it is for people alone.
  private func say(_ text: String) { StandardStreams.output(PrintableText.lines(text)) }

  /// One check that asks Postgres; an answer that is an error fails it.
  /// - Parameter grants: what a role needs that may not ask.
  func check(
    _ subject: String, grants: String = "ask the owner of the database for what is denied",
    _ body: () throws(DatabaseError) -> Void
  ) {
    do {
      try body()
    } catch  where error.isRefusal {
      fail("\(subject): \(error.message)", grants)
    } catch {
      fail("\(subject): \(error)", "look into the log of the Postgres server")
    }
  }
}
