import Millstream

/// Publishes as pgbus does: into a PGMQ queue, or, if nothing is to be kept, as the payload of a
/// notification on the queue's channel.
struct PGMQPublisher {
  let session: CommandDatabase
  let queue: QueueName

  /// A payload has to be shorter than 8,000 bytes (Postgres: NOTIFY).
  private static let maximumPayloadBytes = 7_999

  /// pgbus's message, of the parameters $1 to $4.
  private static let messageSQL = """
    jsonb_strip_nulls(jsonb_build_object(
      'html', $1::text, 'event', $2::text, 'visible_to', $3::text, 'exclude', $4::text))
    """

  /// Sends to the queue, which is made first if it is not there.
  /// - Throws: `OperatingFailure`.
  func publish(_ broadcast: Broadcast) throws {
    do {
      try session.transaction { () throws(DatabaseError) in
        if try !queueExists() { try createQueue() }
        try session.query(
          "SELECT pgmq.send($5::text, \(PGMQPublisher.messageSQL))",
          PGMQPublisher.parameters(of: broadcast) + [queue.name])
      }
    } catch {
      throw PGMQPublisher.failure(error)
    }
  }

  /// Notifies who listens now, on the channel with the queue's name as it was given: that is where
  /// pgbus's own ephemeral broadcasts go.
  /// - Throws: `OperatingFailure`.
  func publishEphemeral(_ broadcast: Broadcast) throws {
    let parameters = PGMQPublisher.parameters(of: broadcast)
    do {
      let rows = try session.query("SELECT (\(PGMQPublisher.messageSQL))::text", parameters)
      let payload = (rows.first?.first ?? nil) ?? ""
      guard payload.utf8.count <= PGMQPublisher.maximumPayloadBytes else {
        throw OperatingFailure(
          """
          the message is \(payload.utf8.count) bytes of JSON, and a notification holds \
          \(PGMQPublisher.maximumPayloadBytes): publish it without --ephemeral
          """)
      }
      try session.query(
        "SELECT pg_notify($1::text, $2::text)",
        [queue.channelAsGiven ?? queue.channel, payload])
    } catch let error as DatabaseError {
      throw PGMQPublisher.failure(error)
    }
  }

  private static func parameters(of broadcast: Broadcast) -> [String?] {
    [broadcast.data, broadcast.event, broadcast.visibleTo, broadcast.exclude]
  }

  /// As PGMQ sees it: under the name as given in `pgmq.meta`, folded to lower case as a table.
  private func queueExists() throws(DatabaseError) -> Bool {
    let rows = try session.query(
      """
      SELECT EXISTS (SELECT FROM pgmq.meta WHERE lower(queue_name) = $1::text)
             AND to_regclass('pgmq.' || quote_ident('q_' || $1::text)) IS NOT NULL
      """, [queue.tableSuffix])
    return rows.first?.first == "t"
  }

  private func createQueue() throws(DatabaseError) {
    // PGMQ's IF EXISTS give notices that tell the user nothing.
    try session.run("SET LOCAL client_min_messages = warning")
    // Two that make it at once: the second waits here, and then finds it.
    try session.query(
      "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", [queue.channel])
    if try queueExists() { return }
    try session.query("SELECT pgmq.create($1::text)", [queue.name])
    try session.query("SELECT pgmq.enable_notify_insert($1::text, 0)", [queue.name])
  }

  private static func failure(_ error: DatabaseError) -> OperatingFailure {
    if error.isAbsence {
      return OperatingFailure(
        """
        PGMQ \(PGMQChecks.oldestVersion) or later is not installed in this database (\(error.message)): install it, or use \
        --store native
        """)
    }
    if error.isRefusal {
      return OperatingFailure(
        """
        \(error.message): the owner of the schema pgmq has to run GRANT USAGE ON SCHEMA pgmq and GRANT \
        SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA pgmq for this role, and to make new queues
        """)
    }
    return OperatingFailure("cannot publish: \(error)")
  }
}
