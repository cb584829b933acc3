/// The PGMQ queue that a stream's messages are kept in, named as pgbus names it
/// (`Pgbus::QueueNameValidator.normalize`).
package struct QueueName: Hashable, Sendable {
  /// PGMQ's own limit, in characters.
  static let maximumLength = 47

  /// The name as `pgmq.meta` keeps it. ASCII letters, digits and `_` only.
  package let name: String
  /// What follows `q_` and `a_` in the names of the tables: PGMQ folds them to lower case.
  package let tableSuffix: String

  /// The queue of a stream; nil when the name that comes out is empty or too long for PGMQ.
  ///
  /// Different streams can share a queue: `a:b`, `a-b` and `a_b` do.
  package init?(stream: some StringProtocol, prefix: some StringProtocol) {
    let whole = Array(prefix.utf8) + [QueueName.underscore] + Array(stream.utf8)
    // A name that needs no change gets none: underscores at its ends and in a row stay.
    let name = whole.allSatisfy(QueueName.isAllowed) ? whole : QueueName.normalized(whole)
    guard (1...QueueName.maximumLength).contains(name.count) else { return nil }
    self.name = String(decoding: name, as: UTF8.self)
    tableSuffix = String(decoding: name.map(ASCII.lowercased), as: UTF8.self)
  }

  /// The channel that PGMQ's trigger notifies on.
  package var channel: String { "pgmq.q_\(tableSuffix).INSERT" }

  /// The channel of pgbus's ephemeral broadcasts, where it is not the same.
  package var channelAsGiven: String? { name == tableSuffix ? nil : "pgmq.q_\(name).INSERT" }

  private static let underscore = UInt8(ascii: "_")

  private static func isAllowed(_ byte: UInt8) -> Bool {
    ASCII.isLetter(byte) || ASCII.isDigit(byte) || byte == underscore
  }

  /// `-`, `.` and `:` become `_`, what is not allowed goes, a run of `_` becomes one, and those at
  /// the ends go.
  private static func normalized(_ name: [UInt8]) -> [UInt8] {
    var normalized: [UInt8] = []
    for byte in name {
      switch byte {
      case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"), underscore:
        if let last = normalized.last, last != underscore { normalized.append(underscore) }
      default:
        if isAllowed(byte) { normalized.append(byte) }
      }
    }
    if normalized.last == underscore { normalized.removeLast() }
    return normalized
  }
}
