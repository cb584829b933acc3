/// Comments, idle time-outs and write deadlines: everything that time does to connections.
///
/// There is no timer for each connection. A sweep walks over the slots of the table at such a speed
/// that it has come by all of them once an interval, which spreads the heartbeats by itself.
final class Heartbeat {
  /// The length of a step of the sweep.
  static let tickMs: Int64 = 50

  /// A connection has waited for its opening for longer than `longestOpeningSeconds`.
  var openingIsOverdue: (ConnectionRef) -> Void = { _ in }
  static let longestOpeningSeconds: UInt32 = 5

  private let writer: Writer
  private let intervalMs: Int64
  private let idleTimeoutMs: Int64
  private let timer: TimerWatcher
  private var nextSlot = 0
  /// Parts of a slot that are due, carried over from tick to tick.
  private var remainder: Int64 = 0

  init(loop: EventLoop, writer: Writer, configuration: Configuration) {
    self.writer = writer
    intervalMs = max(configuration.heartbeatMs, 1)
    idleTimeoutMs = configuration.idleTimeoutMs
    weak var weakSelf: Heartbeat?
    timer = TimerWatcher(loop: loop) { weakSelf?.tick() }
    weakSelf = self
  }

  func start() {
    timer.repeatFiring(everyMs: Heartbeat.tickMs)
  }

  func stop() {
    timer.stop()
  }

  /// One step: a slice of the table, and the clients that have been silent for too long.
  func tick() {
    let nowMs = writer.clock.monotonicMs
    writer.lookAtBlocked(nowMs)
    writer.endExpired()
    let slotCount = writer.table.slotCount
    guard slotCount > 0 else { return }
    remainder += Int64(slotCount) * Heartbeat.tickMs
    let due = min(Int(remainder / intervalMs), slotCount)
    remainder %= intervalMs
    sweep(due, of: slotCount, nowMs)
  }

  private func sweep(_ count: Int, of slotCount: Int, _ nowMs: Int64) {
    let comment = ControlFrames.heartbeat(unixSeconds: writer.clock.unixSeconds)
    comment.withUnsafeBytes { bytes in
      for _ in 0..<count {
        nextSlot = nextSlot + 1 < slotCount ? nextSlot + 1 : 0
        guard let connection = writer.table.connection(nextSlot) else { continue }
        beat(connection, bytes, nowMs)
      }
    }
  }

  private func beat(
    _ connection: ConnectionRef, _ comment: UnsafeRawBufferPointer, _ nowMs: Int64
  ) {
    switch connection.pointee.phase {
    case .free, .closing: return
    case .opening:
      if silentSeconds(connection, nowMs) > Heartbeat.longestOpeningSeconds {
        openingIsOverdue(connection)
      }
      return
    case .catchingUp, .live: break
    }
    // Its carrier is there, too.
    if writer.backlog(of: connection)?.lane != nil { return }
    if isIdle(connection, nowMs) { return writer.close(connection, .idle) }
    writer.sendHeartbeat(comment, to: connection)
  }

  /// The last delivery is known to the second it fell in; never closing too early means to count from
  /// that second's end.
  private func isIdle(_ connection: ConnectionRef, _ nowMs: Int64) -> Bool {
    guard idleTimeoutMs > 0 else { return false }
    return (Int64(silentSeconds(connection, nowMs)) - 1) * 1000 >= idleTimeoutMs
  }

  private func silentSeconds(_ connection: ConnectionRef, _ nowMs: Int64) -> UInt32 {
    UInt32(truncatingIfNeeded: nowMs / 1000) &- connection.pointee.lastDeliverySeconds
  }
}
