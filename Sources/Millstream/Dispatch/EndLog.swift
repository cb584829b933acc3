import CSystem
import Glibc
import Logging

/// Says how connections have ended, and which requests were refused: one line for each, but in a storm only
/// some, and then how many were left out.
///
/// A connection remembers nothing for it but when it came. The kernel is asked for the rest while the
/// descriptor is still open.
final class EndLog {
  /// So many lines of each kind are written in a second.
  static let linesInSecond = 50

  private let logger: Logger
  private var secondMs: Int64 = 0
  private var ends = Lines()
  private var refusals = Lines()

  /// Those of one kind in this second.
  private struct Lines {
    private var written = 0
    private var leftOut = 0

    /// Whether another line may be written.
    mutating func take() -> Bool {
      let isFree = written < EndLog.linesInSecond
      if isFree { written += 1 } else { leftOut += 1 }
      return isFree
    }

    /// How many were left out; it begins anew.
    mutating func next() -> Int {
      defer { self = Lines() }
      return leftOut
    }
  }

  init(logger: Logger) {
    self.logger = logger
  }

  /// `connection`, whose descriptor is still open, has ended.
  func ended(_ connection: ConnectionRef, of stream: Stream?, in dispatcher: Dispatcher) {
    guard logger.logLevel <= .info else { return }
    let nowMs = dispatcher.writer.clock.monotonicMs
    secondMayBeOver(nowMs)
    guard ends.take() else { return }
    var metadata: Logger.Metadata = [
      "connection": "\(connection.pointee.id)", "reason": "\(connection.pointee.closeReason)",
      "seconds":
        "\(connection.pointee.ageSeconds(nowSeconds: UInt32(truncatingIfNeeded: nowMs / 1000)))",
    ]
    let descriptor = connection.pointee.descriptor
    let admission = dispatcher.writer.admissions[connection.pointee.id]
    metadata["request"] = "\(admission?.requestID ?? RequestID.text(of: connection.pointee.id))"
    metadata["address"] = dispatcher.writer.address(of: connection).map { "\($0)" }
    let acknowledgedBytes = ms_acknowledged_bytes(descriptor)
    if acknowledgedBytes >= 0 { metadata["bytes"] = "\(acknowledgedBytes)" }
    if let stream {
      metadata["stream"] = "\(stream.publicIdentity.name)"
      metadata["last_id"] = dispatcher.lastID(of: connection, in: stream).map { "\($0)" }
    } else if let carrier = dispatcher.writer.backlog(of: connection)?.carrier {
      metadata["streams"] = "\(carrier.laneCount)"
    }
    logger.info("connection ended", metadata: metadata)
  }

  /// A request was refused. Of what it was for only names are said that are in order: in another there may be a
  /// signed one.
  func refused(_ response: HTTPResponse, _ arrival: Arrival, nowMs: Int64) {
    guard mayTellOfRefusal(nowMs) else { return }
    var metadata = EndLog.metadata(of: arrival, arrival.streams)
    metadata["status"] = "\(response.status)"
    metadata["reason"] = "\(response.refusal.map { "\($0)" } ?? response.reason)"
    if !response.text.isEmpty { metadata["detail"] = "\(response.text)" }
    logger.info("request refused", metadata: metadata)
  }

  /// Of a request for several streams these were refused, and the others are served: one line for each status.
  func refused(_ refusals: [SubscriptionSet.Refusal], _ arrival: Arrival, nowMs: Int64) {
    for (status, refused) in Dictionary(grouping: refusals, by: \.status) {
      guard mayTellOfRefusal(nowMs) else { continue }
      var metadata = EndLog.metadata(of: arrival, refused.compactMap(\.name))
      metadata["status"] = "\(status)"
      metadata["count"] = "\(refused.count)"
      metadata["reason"] = refused.compactMap(\.reason).first.map { "\($0)" }
      logger.info("streams of a request refused", metadata: metadata)
    }
  }

  private func mayTellOfRefusal(_ nowMs: Int64) -> Bool {
    guard logger.logLevel <= .info else { return false }
    secondMayBeOver(nowMs)
    return refusals.take()
  }

  /// A client may ask for many.
  private static let namesInLine = 8

  private static func metadata(of arrival: Arrival, _ streams: [String]) -> Logger.Metadata {
    var metadata: Logger.Metadata = ["request": "\(arrival.requestID.text)"]
    metadata["address"] = arrival.address.map { "\($0)" }
    if streams.isEmpty { return metadata }
    let names = streams.prefix(namesInLine) + (streams.count > namesInLine ? ["…"] : [])
    metadata["stream"] = "\(names.joined(separator: ", "))"
    return metadata
  }

  /// Time has passed: what was left out in the second before is told.
  func secondMayBeOver(_ nowMs: Int64) {
    guard nowMs - secondMs >= 1_000 else { return }
    tellLeftOut()
    secondMs = nowMs
  }

  /// There is no more to come.
  func tellLeftOut() {
    tell("more connections ended", leftOut: ends.next())
    tell("more requests refused", leftOut: refusals.next())
  }

  private func tell(_ message: Logger.Message, leftOut: Int) {
    if leftOut > 0 { logger.info(message, metadata: ["left_out": "\(leftOut)"]) }
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
