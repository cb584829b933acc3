import Millstream

/// The last minutes, second by second, in a ring.
struct StatusHistory {
  /// So many seconds are kept.
  static let seconds = 300
  /// Latencies are told of so many seconds together: one alone has too few.
  static let latencySeconds = 10

  private var ring: [StatusPoint] = []
  private var next = 0
  private var totals: [StatusTotals] = []

  /// The oldest first.
  var points: [StatusPoint] { Array(ring[next...] + ring[..<next]) }

  /// Nil: there was only one moment so far.
  var last: StatusPoint? { ring.isEmpty ? nil : ring[(next + ring.count - 1) % ring.count] }

  /// Takes in how things stand, about a second after the last time.
  mutating func add(_ now: StatusTotals, unixSeconds: Int64) {
    if let before = totals.last {
      put(StatusPoint(now, before: before, early: totals[0], unixSeconds: unixSeconds))
    }
    totals.append(now)
    if totals.count > StatusHistory.latencySeconds { totals.removeFirst() }
  }

  mutating func put(_ point: StatusPoint) {
    if ring.count < StatusHistory.seconds { return ring.append(point) }
    ring[next] = point
    next = (next + 1) % ring.count
  }
}
