import ArgumentParser
import Millstream

@main
struct MillstreamCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "millstream",
    abstract: "Pushes what an application stores in Postgres to browsers, as server-sent events.",
    discussion: """
      Every option can also be given as an environment variable: --write-deadline is \
      MILLSTREAM_WRITE_DEADLINE. Options win. Lists are separated by spaces there.
      """,
    version: Version.text,
    subcommands: [
      Serve.self, Demo.self, Sign.self, Publish.self, Tail.self, Install.self, Doctor.self,
    ])

  static func main() {
    let arguments = EnvironmentOptions.adding(to: Array(CommandLine.arguments.dropFirst()))
    main(arguments)
  }
}
