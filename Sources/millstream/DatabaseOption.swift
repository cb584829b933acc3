import ArgumentParser
import Glibc

/// Which database a command works on.
struct DatabaseOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The database: a libpq connection string or URL; $DATABASE_URL if not given, or else what the \
      PG… variables say.", valueName: "url"))
  var database: String?

  static let environmentOptions: [EnvironmentOption] = [.value("database")]

  /// The connection string.
  var connectionString: String {
    database ?? getenv("DATABASE_URL").map { String(cString: $0) } ?? ""
  }
}
