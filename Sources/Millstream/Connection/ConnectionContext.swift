/// What the application knows of a client.
public final class ConnectionContext {
  /// Who it is: connections of one member can be closed together.
  public let member: String?
  /// The labels that it may see (`visible_to`), where no audience predicate was set.
  public let labels: Set<String>
  /// The host's own: never followed, and given back with the connection.
  public let tag: UnsafeMutableRawPointer?
  /// Called when the context goes: after the end of its connection, or when there was none to give it to.
  public var released: () -> Void = {}

  deinit {
    released()
  }

  /// A context of these parts.
  public init(
    member: String? = nil, labels: Set<String> = [], tag: UnsafeMutableRawPointer? = nil
  ) {
    self.member = member
    self.labels = labels
    self.tag = tag
  }
}

/// A connection as it is shown to the host.
public struct ConnectionInfo {
  /// Its name.
  public let id: ConnectionID
  /// What it is subscribed to.
  public let stream: StreamIdentity
  /// What the application knows of it; nil: nothing.
  public let context: ConnectionContext?
  /// Its socket is full: it waits until the client takes something.
  public let isBlocked: Bool
}
