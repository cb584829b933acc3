/// By when how many are told goodbye, if they are told evenly over a time: the first at once, so that
/// nobody waits for the end of an empty server.
struct DrainSchedule {
  let count: Int
  let overMs: Int64

  /// How many have to have been told so long after the begin. At the end it is all, also of those who have
  /// come meanwhile.
  func due(atMs elapsedMs: Int64) -> Int {
    guard overMs > 0, elapsedMs < overMs, count > 0 else { return .max }
    return Int(Int64(count) * elapsedMs / overMs) + 1
  }
}

/// Says goodbye to the connections one after the other while everything goes on for the others, so that
/// they do not all come back somewhere else at once.
///
/// Whoever cannot be told now, because its socket is full or it is still opening, is left to the farewell.
final class Drain {
  private let writer: Writer
  private let schedule: DrainSchedule
  private let beginMs: Int64
  private var completions: [(Bool) -> Void] = []
  private var metCount = 0
  private var nextSlot = 0
  private static let sliceSlots = 1024
  private static let sliceGoodbyes = 128

  /// `count`: how many there are.
  init(writer: Writer, count: Int, overMs: Int64) {
    self.writer = writer
    schedule = DrainSchedule(count: count, overMs: overMs)
    beginMs = writer.clock.monotonicMs
  }

  var isOver: Bool { nextSlot >= writer.table.slotCount }

  /// Tells those who are due, at most a slice of them; says whether more are due now.
  func runSlice() -> Bool {
    let dueCount = schedule.due(atMs: writer.clock.monotonicMs - beginMs)
    let lastMet = min(dueCount, metCount + Drain.sliceGoodbyes)
    let lastSlot = min(nextSlot + Drain.sliceSlots, writer.table.slotCount)
    // Behind the last one who is due there may be free slots alone, which end it.
    while nextSlot < lastSlot {
      // A lane goes with its carrier.
      if let connection = writer.table.connection(nextSlot),
        writer.backlog(of: connection)?.lane == nil
      {
        if metCount >= lastMet { break }
        metCount += 1
        tell(connection)
      }
      nextSlot += 1
    }
    return !isOver && metCount < dueCount
  }

  /// `completion` is called once: with true when everybody was met, with false when it is left before.
  func add(_ completion: @escaping (Bool) -> Void) { completions.append(completion) }

  /// To be called outside of all slices, for it may end everything.
  func complete(_ isComplete: Bool) {
    let waiting = completions
    completions = []
    for completion in waiting { completion(isComplete) }
  }

  private func tell(_ connection: ConnectionRef) {
    guard [.catchingUp, .live].contains(connection.pointee.phase), !connection.pointee.isBlocked
    else { return }
    writer.pump(connection)
    if connection.pointee.isBlocked { return }
    writer.sendOwn(ControlFrames.goodbye, to: connection)
    if !connection.pointee.isBlocked { writer.close(connection, .shutdown) }
  }
}
