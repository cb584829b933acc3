import Logging

/// A session on the loop that publishes into the native store: what a command that serves needs to
/// have something to show. Applications publish in their own transactions instead.
package final class PublishingSession {
  private let session: PostgresSession
  private let logger: Logger

  /// Called whenever the session can be used, also after it was lost.
  package var ready: () -> Void = {}

  /// It connects from `start` on.
  ///
  /// - Throws: what is wrong with the connection string.
  package init(database: String, loop: EventLoop, logger: Logger) throws(ConfigurationError) {
    session = PostgresSession(
      name: "publish", loop: loop, settings: try ConnectionString(database),
      limits: PostgresSession.Limits(), logger: logger)
    self.logger = logger
    session.events.ready = { [unowned self] in ready() }
  }

  /// Connects, and again whenever the connection is lost.
  package func start() {
    session.start()
  }

  /// Hands one message to Postgres and returns at once; false: it is away, and nothing was done.
  package func publish(
    _ data: String, to stream: String, event: String?, exclude: String?
  ) -> Bool {
    guard session.isReady else { return false }
    session.submit(
      Publication(parameters: [stream, data, event, exclude], logger: logger))
    session.flush()
    return true
  }
}

/// One call of `millstream.publish`; nobody waits for it, so a refusal goes to the log.
private final class Publication: Query {
  private let logger: Logger

  init(parameters: [String?], logger: Logger) {
    self.logger = logger
    super.init(
      sql: "SELECT millstream.publish($1::text, $2::text, $3::text, NULL, $4::text)",
      parameters: parameters)
  }

  override func failed(_ failure: QueryFailure) {
    logger.warning("a message was not published", metadata: ["reason": "\(failure)"])
  }
}
