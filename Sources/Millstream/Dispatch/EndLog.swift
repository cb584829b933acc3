import CSystem
import Glibc
import Logging

/// Says how connections have ended: one line for each, but in a storm only some, and then how many were
/// left out.
///
/// A connection remembers nothing for it but when it came. The kernel is asked for the rest while the
/// descriptor is still open.
final class EndLog {
  /// So many lines are written in a second.
  static let linesInSecond = 50

  private let logger: Logger
  private var secondMs: Int64 = 0
  private var lines = 0
  private var leftOut = 0

  init(logger: Logger) {
    self.logger = logger
  }

  /// `connection`, whose descriptor is still open, has ended.
  func ended(_ connection: ConnectionRef, of stream: Stream, in dispatcher: Dispatcher) {
    guard logger.logLevel <= .info else { return }
    let nowMs = dispatcher.writer.clock.monotonicMs
    secondMayBeOver(nowMs)
    guard lines < EndLog.linesInSecond else { return leftOut += 1 }
    lines += 1
    var metadata: Logger.Metadata = [
      "connection": "\(connection.pointee.id)", "reason": "\(connection.pointee.closeReason)",
      "stream": "\(stream.publicIdentity.name)",
      "seconds":
        "\(connection.pointee.ageSeconds(nowSeconds: UInt32(truncatingIfNeeded: nowMs / 1000)))",
    ]
    let descriptor = connection.pointee.descriptor
    metadata["address"] = SocketAddress(peerOf: descriptor).map { "\($0.text)" }
    let acknowledgedBytes = ms_acknowledged_bytes(descriptor)
    if acknowledgedBytes >= 0 { metadata["bytes"] = "\(acknowledgedBytes)" }
    metadata["last_id"] = dispatcher.lastID(of: connection, in: stream).map { "\($0)" }
    logger.info("connection ended", metadata: metadata)
  }

  /// Time has passed: what was left out in the second before is told.
  func secondMayBeOver(_ nowMs: Int64) {
    guard nowMs - secondMs >= 1_000 else { return }
    tellLeftOut()
    secondMs = nowMs
    lines = 0
  }

  /// There is no more to come.
  func tellLeftOut() {
    if leftOut > 0 {
      logger.info("more connections ended", metadata: ["left_out": "\(leftOut)"])
    }
    leftOut = 0
  }
}

extension Dispatcher {
  /// Everything up to the returned id was sent to a connection that has ended, or was not for it; nil: that
  /// is not known.
  func lastID(of connection: ConnectionRef, in stream: Stream) -> Int64? {
    if stream.isInLog(connection) { return stream.log.idSent(before: connection.pointee.position) }
    guard connection.pointee.wasOpened, let backlog = writer.backlog(of: connection),
      backlog.cursor != Backlog.fromNowOn
    else { return nil }
    return backlog.cursor
  }
}

extension StreamLog {
  /// The frames up to this id end before `position`; nil: the position is not in the log (any more).
  func idSent(before position: UInt64) -> Int64? {
    guard position >= start, position <= end else { return nil }
    guard position > start else { return idBefore(position) }
    let chunk = chunk(at: position - 1)
    let offset = Int(position - chunk.start)
    let index = chunk.index(at: offset - 1)
    if chunk.frameEnd(index) == offset { return idBefore(position) }
    // It has a part of this frame only.
    return idBefore(chunk.start + UInt64(chunk.entries[index].offset))
  }
}
