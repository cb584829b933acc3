/// The connections whose socket is full, those that have waited longest first.
///
/// The deadline is the same for all, so a list in the order of time is all the timer there is.
struct BlockedQueue {
  private(set) var first = ConnectionTable.none
  private var last = ConnectionTable.none
  private let table: ConnectionTable

  init(table: ConnectionTable) {
    self.table = table
  }

  /// Puts `connection` at the end: as of now, it waits.
  mutating func append(_ connection: ConnectionRef, nowMs: Int64) {
    connection.pointee.isBlocked = true
    connection.pointee.blockedSinceMs = UInt32(truncatingIfNeeded: nowMs)
    connection.pointee.previousBlocked = last
    connection.pointee.nextBlocked = ConnectionTable.none
    if last == ConnectionTable.none {
      first = connection.pointee.slot
    } else {
      table[last].pointee.nextBlocked = connection.pointee.slot
    }
    last = connection.pointee.slot
  }

  /// Takes `connection` out, if it is in.
  mutating func remove(_ connection: ConnectionRef) {
    guard connection.pointee.isBlocked else { return }
    connection.pointee.isBlocked = false
    let previous = connection.pointee.previousBlocked
    let next = connection.pointee.nextBlocked
    if previous == ConnectionTable.none { first = next } else { link(previous, nextTo: next) }
    if next == ConnectionTable.none { last = previous } else { link(next, previousTo: previous) }
  }

  private func link(_ slot: UInt32, nextTo next: UInt32) {
    table[slot].pointee.nextBlocked = next
  }

  private func link(_ slot: UInt32, previousTo previous: UInt32) {
    table[slot].pointee.previousBlocked = previous
  }

  /// All in the queue that have waited for at least `deadlineMs`; it stays as it is.
  func overdue(nowMs: Int64, deadlineMs: Int64) -> [ConnectionRef] {
    var found: [ConnectionRef] = []
    var slot = first
    while slot != ConnectionTable.none {
      let connection = table[slot]
      let waited = UInt32(truncatingIfNeeded: nowMs) &- connection.pointee.blockedSinceMs
      if Int64(waited) < deadlineMs { break }
      found.append(connection)
      slot = connection.pointee.nextBlocked
    }
    return found
  }

  /// Calls `body` for each in the queue; `body` must not change the queue.
  func forEach(_ body: (ConnectionRef) -> Void) {
    var slot = first
    while slot != ConnectionTable.none {
      let connection = table[slot]
      slot = connection.pointee.nextBlocked
      body(connection)
    }
  }
}
