import ArgumentParser
import Glibc

/// Which database a command works on.
struct DatabaseOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A libpq connection string or URL. (default: $DATABASE_URL, or the PG... variables)",
      valueName: "url"))
  var database: String?

  static let environmentOptions: [EnvironmentOption] = [.value("database")]

  /// The connection string.
  var connectionString: String {
    database ?? getenv("DATABASE_URL").map { String(cString: $0) } ?? ""
  }
}
