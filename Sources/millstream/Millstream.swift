import ArgumentParser
import Glibc
import Millstream

@main
struct MillstreamCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "millstream",
    abstract: "Pushes what an application stores in Postgres to browsers, as server-sent events.",
    discussion: """
      Every option can also be given as an environment variable: --write-deadline is \
      MILLSTREAM_WRITE_DEADLINE. Options win. Lists are separated by spaces there. And the options of \
      'serve' can be in a file, which --config or MILLSTREAM_CONFIG names.
      """,
    version: Version.text,
    subcommands: [
      Serve.self, Demo.self, Sign.self, Publish.self, Close.self, Tail.self, Top.self,
      Install.self, Doctor.self,
    ])

  static func main() {
    switch GivenArguments.atStart {
    case .success(let given): run(given)
    case .failure(let error): end("\(error)", exitCode(for: error))
    }
  }

  private static func run(_ given: GivenArguments) {
    var command: (any ParsableCommand)?
    do {
      try checkHelp(given.arguments)
      command = try parseAsRoot(given.arguments)
      try command?.run()
    } catch {
      // Help is no error, and names all options.
      if exitCode(for: error).isSuccess { exit(withError: error) }
      let located = given.message(for: error)
      // What the file or a variable has to do with is told with its place, and without the usage of the command line.
      if located != message(for: error) { end(located, exitCode(for: error)) }
      if let command, error is ValidationError {
        end("\(located)\n\(usage(of: type(of: command)))", exitCode(for: error))
      }
      exit(withError: error)
    }
  }

  /// What was wrong when the command had begun is no longer known to be the command's.
  private static func usage(of command: any ParsableCommand.Type) -> String {
    """
    Usage: \(usageString(for: command))
      See '\(configuration.commandName ?? "") \(command._commandName) --help' for more information.
    """
  }

  /// `help` alone takes any word, and shows what it would show without.
  private static func checkHelp(_ arguments: [String]) throws {
    let names = configuration.subcommands.map { $0._commandName }
    guard arguments.count > 1, arguments[0] == "help", !arguments[1].hasPrefix("-"),
      !(names + ["help"]).contains(arguments[1])
    else { return }
    throw ValidationError("there is no command '\(arguments[1])'")
  }

  private static func end(_ message: String, _ code: ExitCode) -> Never {
    StandardStreams.notice("Error: " + message)
    Glibc.exit(code.rawValue)
  }
}
