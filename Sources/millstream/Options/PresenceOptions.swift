import ArgumentParser
import Millstream

/// Who is told who else is on a stream, and what is written for pgbus's dashboard.
struct PresenceOptions: ParsableArguments {
  @Option(
    name: .customLong("presence"),
    help: ArgumentHelp(
      "Streams that tell who is on them, for instance 'room:*'; repeatable.",
      discussion: """
        Members are those whose token ('sub', 'metadata') or whose permission from --authorize-url \
        ("member", "metadata") names them. Needs pgbus's table pgbus_presence_members, or the native \
        schema.
        """, valueName: "pattern"))
  var patterns: [String] = []

  @Option(
    help: ArgumentHelp("Who comes back within that has never left.", valueName: "time"))
  var presenceGrace = DurationArgument(milliseconds: 5_000)

  @Flag(help: "Write rows for pgbus's dashboard (pgbus_stream_stats), of its streams.")
  var statistics = false

  static let environmentOptions: [EnvironmentOption] = [
    .list("presence"), .value("presence-grace"), .flag("statistics"),
  ]

  func validate() throws {
    if patterns.contains("") { throw ValidationError("--presence needs a pattern: '*' is all") }
  }

  func apply(to configuration: inout Configuration) {
    configuration.presencePatterns = patterns
    configuration.presenceGraceMs = presenceGrace.milliseconds
    configuration.writesStatistics = statistics
  }
}
