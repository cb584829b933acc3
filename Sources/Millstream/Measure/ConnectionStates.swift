/// How many connections are in which state. One that has ended counts until it is reaped.
public struct ConnectionStates: Sendable, Equatable {
  /// Accepted; their opening has not been sent.
  public internal(set) var opening = 0
  /// Opened; they get what the log lacks from the store.
  public internal(set) var catchingUp = 0
  /// In the log.
  public internal(set) var live = 0

  /// All of them.
  public var count: Int { opening + catchingUp + live }
}
