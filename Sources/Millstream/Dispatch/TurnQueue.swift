/// The connections that the dispatcher has to come by, in the order in which that was found out.
struct TurnQueue {
  /// A connection, unless its slot was given to another since.
  private struct Turn {
    var slot: UInt32
    var id: ConnectionID
  }

  private var turns: [Turn] = []
  private var head = 0

  var hasMore: Bool { head < turns.count }

  /// At most one turn waits for each connection, so there are never more turns than connections.
  mutating func append(_ connection: ConnectionRef) {
    guard !connection.pointee.hasTurn else { return }
    connection.pointee.hasTurn = true
    turns.append(Turn(slot: connection.pointee.slot, id: connection.pointee.id))
  }

  /// The next connection that is still there; nil when there is none.
  mutating func next(in table: ConnectionTable) -> ConnectionRef? {
    while head < turns.count {
      let turn = turns[head]
      head += 1
      guard let connection = table.connection(Int(turn.slot)), connection.pointee.id == turn.id
      else { continue }
      connection.pointee.hasTurn = false
      if head >= 1024 { dropServed() }
      return connection
    }
    dropServed()
    return nil
  }

  private mutating func dropServed() {
    turns.removeFirst(head)
    head = 0
  }
}
