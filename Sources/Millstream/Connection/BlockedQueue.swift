/// The connections whose socket is full, those whose last look is longest ago first, and what each
/// has taken since its socket was full.
///
/// The interval between looks is the same for all, so a list in the order of time is all the timer
/// there is. What they have taken is kept here, so that it costs the others nothing.
struct BlockedQueue {
  private(set) var first = ConnectionTable.none
  private var last = ConnectionTable.none
  private var paces: [UInt32: Pace] = [:]
  private let table: ConnectionTable

  var count: Int { paces.count }

  init(table: ConnectionTable) {
    self.table = table
  }

  /// Puts `connection` at the end: it was looked at when `pace` says so.
  mutating func append(_ connection: ConnectionRef, _ pace: Pace) {
    paces[connection.pointee.slot] = pace
    connection.pointee.isBlocked = true
    connection.pointee.lookedAtMs = UInt32(truncatingIfNeeded: pace.lookedAtMs)
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
    forgetPace(of: connection)
    let previous = connection.pointee.previousBlocked
    let next = connection.pointee.nextBlocked
    if previous == ConnectionTable.none { first = next } else { link(previous, nextTo: next) }
    if next == ConnectionTable.none { last = previous } else { link(next, previousTo: previous) }
  }

  /// After a storm its memory goes back.
  private mutating func forgetPace(of connection: ConnectionRef) {
    paces[connection.pointee.slot] = nil
    if paces.isEmpty && paces.capacity > ConnectionTable.slabSize { paces = [:] }
  }

  private func link(_ slot: UInt32, nextTo next: UInt32) {
    table[slot].pointee.nextBlocked = next
  }

  private func link(_ slot: UInt32, previousTo previous: UInt32) {
    table[slot].pointee.previousBlocked = previous
  }

  /// What `connection`, which is in the queue, has taken so far.
  func pace(of connection: ConnectionRef) -> Pace {
    guard let pace = paces[connection.pointee.slot] else {
      preconditionFailure("slot \(connection.pointee.slot) is not in the queue")
    }
    return pace
  }

  /// The kernel took `count` more bytes for `connection`, which is in the queue.
  mutating func sent(_ count: Int, to connection: ConnectionRef) {
    paces[connection.pointee.slot]?.sentBytes += count
  }

  /// At most `count` of those whose last look was `intervalMs` ago or more; the queue stays as it is.
  func due(nowMs: Int64, intervalMs: Int64, atMost count: Int = .max) -> [ConnectionRef] {
    var found: [ConnectionRef] = []
    var slot = first
    while slot != ConnectionTable.none && found.count < count {
      let connection = table[slot]
      let waited = UInt32(truncatingIfNeeded: nowMs) &- connection.pointee.lookedAtMs
      if Int64(waited) < intervalMs { break }
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
