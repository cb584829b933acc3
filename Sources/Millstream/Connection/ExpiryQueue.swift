/// When connections whose context has an end go: a heap, the earliest on top. It knows them by name, so those
/// that are gone cost nothing but their place, until they are swept out.
struct ExpiryQueue {
  private struct Entry {
    var at: Int64
    var id: ConnectionID
  }

  private var heap: [Entry] = []
  /// How many there were after the last sweep: at twice that many it is time for the next.
  private var keptCount = ExpiryQueue.leastCount
  private static let leastCount = 64

  var count: Int { heap.count }

  /// `id` goes at `time`. `isThere`: whether a connection still exists.
  mutating func add(_ id: ConnectionID, at time: Int64, isThere: (ConnectionID) -> Bool) {
    if heap.count >= 2 * keptCount { sweep(isThere) }
    heap.append(Entry(at: time, id: id))
    rise(from: heap.count - 1)
  }

  /// Takes out one that goes at `now` or before.
  mutating func popDue(_ now: Int64) -> ConnectionID? {
    guard let first = heap.first, first.at <= now else { return nil }
    let last = heap.removeLast()
    if heap.isEmpty {
      heap = []
      keptCount = ExpiryQueue.leastCount
    } else {
      heap[0] = last
      sink(from: 0)
    }
    return first.id
  }

  /// Clients that come and go with long-lived tokens shall not fill it.
  private mutating func sweep(_ isThere: (ConnectionID) -> Bool) {
    // An order is a heap, too.
    heap = heap.filter { isThere($0.id) }.sorted { $0.at < $1.at }
    keptCount = max(heap.count, ExpiryQueue.leastCount)
  }

  private mutating func rise(from place: Int) {
    var place = place
    while place > 0, heap[(place - 1) / 2].at > heap[place].at {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(from place: Int) {
    var place = place
    while true {
      let children = (2 * place + 1)..<min(2 * place + 3, max(heap.count, 2 * place + 1))
      guard let least = children.min(by: { heap[$0].at < heap[$1].at }),
        heap[least].at < heap[place].at
      else { return }
      heap.swapAt(place, least)
      place = least
    }
  }
}

extension Writer {
  /// How many end in one step of the timer.
  private static let endsInSlice = 512

  /// Ends those whose context has expired, a slice at a time.
  func endExpired() {
    if expiries.count == 0 { return }
    let now = clock.unixSeconds
    for _ in 0..<Writer.endsInSlice {
      guard let id = expiries.popDue(now) else { return }
      if let connection = table.connection(named: id) { expire(connection) }
    }
  }

  /// One that was told already, for this or for something else, has had its time.
  private func expire(_ connection: ConnectionRef) {
    if let reason = backlog(of: connection)?.endReason { return close(connection, reason) }
    dismiss(connection, ControlFrames.expired, .expired, withinMs: patience.deadlineMs)
  }
}
