import ArgumentParser
import Millstream

struct Install: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Creates Millstream's own schema in a database, or brings it up to date.",
    discussion: """
      For applications without PGMQ. Makes the schema 'millstream' in one transaction; what is there \
      already stays as it is, so it can be run again at any time. Needs no superuser: the role has to \
      have CREATE on the database.
      """)

  @OptionGroup var config: ConfigOption
  @OptionGroup var database: DatabaseOption

  @Flag(help: "Print the SQL instead of running it.")
  var printSQL = false

  static let environmentOptions =
    ConfigOption.environmentOptions + DatabaseOption.environmentOptions + [.flag("print-sql")]

  func run() throws {
    if printSQL {
      StandardStreams.output("BEGIN;\n\(NativeSchema.sql)\nCOMMIT;")
      return
    }
    let session = try database.connect()
    do {
      let before = try NativeVersion.installed(in: session)
      try session.transaction { () throws(DatabaseError) in try session.run(NativeSchema.sql) }
      let after = try NativeVersion.installed(in: session) ?? 0
      StandardStreams.output(Install.report(before: before, after: after))
    } catch {
      throw Install.failure(error)
    }
  }

  private static func report(before: Int?, after: Int) -> String {
    guard let before else { return "installed version \(after) of the schema millstream" }
    return before == after
      ? "already at version \(after) of the schema millstream"
      : "brought the schema millstream from version \(before) to version \(after)"
  }

  private static func failure(_ error: DatabaseError) -> OperatingFailure {
    guard error.isRefusal else { return OperatingFailure("cannot install: \(error)") }
    return OperatingFailure(
      """
      cannot install: \(error.message). If the schema is not there yet, an owner of the database has \
      to run: GRANT CREATE ON DATABASE name TO role. If it is, its owner has to run this command.
      """)
  }
}

/// Which version of Millstream's schema a database has.
enum NativeVersion {
  /// Nil: none.
  static func installed(in session: CommandDatabase) throws(DatabaseError) -> Int? {
    // Not in one statement: it would not be planned where the table is missing.
    let table = "SELECT to_regclass('millstream.schema_version')"
    guard try session.query(table).first?.first != .some(nil) else { return nil }
    let rows = try session.query("SELECT max(version) FROM millstream.schema_version")
    return rows.first?.first.flatMap { $0 }.flatMap { Int($0) }
  }
}

extension DatabaseOption {
  /// - Throws: `OperatingFailure` if no connection can be made.
  func connect() throws -> CommandDatabase {
    do {
      return try CommandDatabase(connectionString)
    } catch {
      throw OperatingFailure(
        "cannot connect: \(error) (check --database, or DATABASE_URL and the PG... variables)")
    }
  }
}
