/// What the application knows of a client.
public final class ConnectionContext {
  /// Who it is: connections of one member can be closed together.
  public let member: String?
  /// What others on streams with presence are shown of the member: a JSON object, as text, for which
  /// ``isMetadata(_:)`` is true.
  public let metadata: String?
  /// The labels that it may see (`visible_to`), where no audience predicate was set.
  public let labels: Set<String>
  /// The host's own: never followed, and given back with the connection.
  public let tag: UnsafeMutableRawPointer?
  /// When its connection is closed, in seconds since 1970, after the event `millstream:expired`; nil: never
  /// for that. Who is let in by an answer with an end that has passed already is refused (403).
  public let expiresAt: Int64?
  /// Called when the context goes: after the end of its connection, or when there was none to give it to.
  public var released: () -> Void = {}

  deinit {
    released()
  }

  /// A context of these parts.
  public init(
    member: String? = nil, metadata: String? = nil, labels: Set<String> = [],
    tag: UnsafeMutableRawPointer? = nil, expiresAt: Int64? = nil
  ) {
    self.member = member
    self.metadata = metadata
    self.labels = labels
    self.tag = tag
    self.expiresAt = expiresAt
  }

  /// Whether the label is one of its own, byte for byte: to Swift two that look the same are one, to Postgres
  /// and to applications they are two.
  func mayRead(_ label: String) -> Bool {
    labels.firstIndex(of: label).map { labels[$0].utf8.elementsEqual(label.utf8) } ?? false
  }

  /// Whether `text` can be ``metadata``: a JSON object of at most 2,048 bytes, without `\u0000`, which
  /// Postgres cannot keep.
  public static func isMetadata(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      JSONScanner.value(of: UnsafeRawBufferPointer(bytes)).flatMap { MemberMetadata.text(of: $0) }
    } != nil
  }

  convenience init(_ grant: TokenGrant) {
    self.init(
      member: grant.member, metadata: grant.metadata, labels: grant.labels, expiresAt: grant.endsAt)
  }

  /// The same, but for an end that is no later than `end`.
  func ending(by end: Int64?) -> ConnectionContext {
    guard let end, expiresAt ?? .max > end else { return self }
    let context = ConnectionContext(
      member: member, metadata: metadata, labels: labels, tag: tag, expiresAt: end)
    // The host's is released with it, and not before.
    context.released = { [self] in withExtendedLifetime(self) {} }
    return context
  }
}

/// A connection as it is shown to the host.
public struct ConnectionInfo {
  /// Its name.
  public let id: ConnectionID
  /// What it is subscribed to; where it carries several streams, the one that this is about, or the first.
  public let stream: StreamIdentity
  /// What the application knows of it; nil: nothing.
  public let context: ConnectionContext?
  /// Its socket is full: it waits until the client takes something.
  public let isBlocked: Bool
}
