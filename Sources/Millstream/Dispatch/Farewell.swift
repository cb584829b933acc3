/// Says goodbye to every connection and closes it, in slices; nobody is waited for longer than the
/// write deadline.
final class Farewell {
  private let writer: Writer
  /// When whoever is left is let go without having taken everything.
  private let endMs: Int64
  private var nextSlot = 0
  private static let sliceSlots = 256

  init(writer: Writer, deadlineMs: Int64) {
    self.writer = writer
    endMs = writer.clock.monotonicMs + deadlineMs
  }

  /// Whether connections are left that were not told yet.
  var hasMore: Bool { nextSlot < writer.table.slotCount }

  /// Tells the next slice of connections.
  func runSlice() {
    let end = min(nextSlot + Farewell.sliceSlots, writer.table.slotCount)
    while nextSlot < end {
      if let connection = writer.table.connection(nextSlot) { tell(connection) }
      nextSlot += 1
    }
  }

  /// A lane goes with its carrier.
  private func tell(_ connection: ConnectionRef) {
    if writer.backlog(of: connection)?.lane != nil { return }
    switch connection.pointee.phase {
    case .free, .closing: return
    case .opening:
      let restMs = endMs - writer.clock.monotonicMs
      return writer.dismiss(connection, ControlFrames.goodbye, .shutdown, withinMs: restMs)
    case .catchingUp, .live: break
    }
    if !connection.pointee.isBlocked { writer.pump(connection) }
    if connection.pointee.phase == .closing { return }
    writer.sendOwn(ControlFrames.goodbye, to: connection)
    closeIfDone(connection)
  }

  private func closeIfDone(_ connection: ConnectionRef) {
    if connection.pointee.isBlocked { return }
    writer.close(connection, .shutdown)
  }

  /// Closes those who have taken everything by now; at the end of the time, everybody.
  func check() {
    let isOver = writer.clock.monotonicMs >= endMs
    for slot in 0..<nextSlot {
      guard let connection = writer.table.connection(slot),
        writer.backlog(of: connection)?.lane == nil
      else { continue }
      if isOver && connection.pointee.isBlocked { writer.close(connection, .writeDeadline) }
      if connection.pointee.phase != .closing { closeIfDone(connection) }
    }
  }
}
