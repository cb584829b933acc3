import ArgumentParser
import Millstream

struct Close: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Closes connections: one, all of a member, or all of a stream.",
    discussion: """
      Every server of this database is told, through the database, as by the function \
      'millstream.close'. The schema of 'millstream install' has to be there, also for PGMQ streams, and \
      the role needs EXECUTE on that function. Clients get the event 'millstream:closed' with the \
      reason, and come back if they are let in.

      Examples:
        millstream close --member 42 --reason 'signed out'
        millstream close --stream room:1
      """)

  @OptionGroup var config: ConfigOption
  @OptionGroup var database: DatabaseOption

  @Option(
    help: ArgumentHelp("The connection with this id, 16 hexadecimal digits.", valueName: "id"))
  var connection: String?

  @Option(help: ArgumentHelp("All connections of this member.", valueName: "name"))
  var member: String?

  @Option(help: ArgumentHelp("All connections of this stream.", valueName: "name"))
  var stream: String?

  @Option(help: "Of which store the stream is: pgmq, native or both.")
  var store = Serve.Store.both

  @Option(
    help: ArgumentHelp("What the clients are told; 'closed' if not given.", valueName: "text"))
  var reason: String?

  static let environmentOptions: [EnvironmentOption] =
    ConfigOption.environmentOptions + DatabaseOption.environmentOptions + [
      .value("store"), .value("reason"),
    ]

  func validate() throws {
    guard [connection, member, stream].count(where: { $0 != nil }) == 1 else {
      throw ValidationError("give one of --connection, --member and --stream")
    }
    if let connection, ConnectionID(text: connection.utf8) == nil {
      throw ValidationError("--connection is 16 hexadecimal digits")
    }
    if let stream { try StreamArgument.check(stream) }
  }

  func run() throws {
    let session = try database.connect()
    let storeName = stream == nil || store == .both ? nil : store.rawValue
    do {
      try session.query(
        """
        SELECT millstream.close(connection => $1::text, member => $2::text, stream => $3::text,
          store => $4::text, reason => $5::text)
        """, [connection, member, stream, storeName, reason])
    } catch {
      throw error.failure(
        to: "close", calling: "millstream.close",
        absence:
          "millstream.close is not in this database: its owner has to run 'millstream install'")
    }
  }
}
