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

  enum State { case opening, catchingUp, live }

  /// One of them goes from one state to another; nil: it comes, or leaves.
  mutating func move(from old: State?, to new: State?) {
    add(-1, to: old)
    add(1, to: new)
  }

  private mutating func add(_ count: Int, to state: State?) {
    switch state {
    case .opening: opening += count
    case .catchingUp: catchingUp += count
    case .live: live += count
    case nil: break
    }
  }

  package init() {}

  package static func + (left: ConnectionStates, right: ConnectionStates) -> ConnectionStates {
    var sum = left
    sum.opening += right.opening
    sum.catchingUp += right.catchingUp
    sum.live += right.live
    return sum
  }
}
