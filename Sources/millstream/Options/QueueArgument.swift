import ArgumentParser
import Millstream

/// The PGMQ queue that a stream's name leads to.
enum QueueArgument {
  /// - Throws: `ValidationError` that says why there can be none.
  static func queue(of stream: String, prefix: String) throws -> QueueName {
    if let queue = QueueName(stream: stream, prefix: prefix) { return queue }
    throw ValidationError(
      """
      there can be no queue for '\(stream)': '\(prefix)_\(stream)', of which PGMQ's names keep \
      letters, digits and '_', has more than 47 characters or none
      """)
  }
}
