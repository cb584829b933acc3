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
      throw NativePublisher.failure(error)
    }
  }

  private static func failure(_ error: DatabaseError) -> OperatingFailure {
    if error.isAbsence {
      return OperatingFailure(
        "the schema is not there: run 'millstream install' on this database, or use --store pgmq")
    }
    if error.isRefusal {
      return OperatingFailure(
        """
        \(error.message): the owner of the schema has to run GRANT USAGE ON SCHEMA millstream and \
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA millstream for this role
        """)
    }
    return OperatingFailure("cannot publish: \(error)")
  }
}
