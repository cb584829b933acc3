/// One message on its way into Postgres.
struct Broadcast {
  let stream: String
  let data: String
  let event: String?
  let visibleTo: String?
  let exclude: String?
}

/// Publishes through the functions of Millstream's own schema.
struct NativePublisher {
  let session: CommandDatabase

  /// - Throws: `OperatingFailure`.
  func publish(_ broadcast: Broadcast, isEphemeral: Bool) throws {
    let function = isEphemeral ? "publish_ephemeral" : "publish"
    do {
      try session.query(
        "SELECT millstream.\(function)($1::text, $2::text, $3::text, $4::text, $5::text)",
        [
          broadcast.stream, broadcast.data, broadcast.event, broadcast.visibleTo, broadcast.exclude,
        ])
    } catch {
      throw error.failure(
        to: "publish", calling: "millstream.publish, millstream.publish_ephemeral",
        absence:
          "the schema is not there: run 'millstream install' on this database, or use --store pgmq")
    }
  }
}
