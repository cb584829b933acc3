/// One frame as it stands in a stream's log.
package struct FrameInspection: Sendable {
  /// Nil: it has none.
  package let id: Int64?
  package let bytes: Int
  /// It is not for everyone.
  package let isRestricted: Bool
  /// Its begin.
  package let text: String
}

/// How one stream stands on one loop, for people who look into it.
package struct StreamInspection: Sendable {
  package let tip: Int64
  /// Ids up to this one are not in the log (any more).
  package let floor: Int64
  package let epoch: UInt32?
  package let logBytes: Int
  package let live: Int
  /// Opening, or behind the log.
  package let waiting: Int
  /// What the reading of it is at, in a word or two.
  package let reader: String
  /// Since somebody is subscribed.
  package let messages: UInt32
  package let waitingEphemerals: Int
  /// Messages up to this id are held back for one below them; nil: none are.
  package let heldThrough: Int64?
  package let channels: [String]
  /// The last ones, the newest first.
  package let frames: [FrameInspection]
}

extension Instance {
  private static let framesShown = 10

  /// Nil: nobody is subscribed to it here.
  package func inspect(_ identity: StreamIdentity) -> StreamInspection? {
    guard let stream = stream(identity) else { return nil }
    let log = stream.log
    return StreamInspection(
      tip: log.tip, floor: log.floor, epoch: log.epoch, logBytes: log.byteCount,
      live: stream.live.count, waiting: stream.waiting.count, reader: stream.reader.description,
      messages: stream.messageCount, waitingEphemerals: stream.ephemerals.count,
      heldThrough: stream.order.hold?.through, channels: stream.channels,
      frames: log.lastFrames(Instance.framesShown))
  }
}

extension StreamLog {
  /// At most `count` frames from the end.
  func lastFrames(_ count: Int) -> [FrameInspection] {
    var frames: [FrameInspection] = []
    for chunk in chunks.reversed() {
      for index in chunk.entries.indices.reversed() {
        guard frames.count < count else { return frames }
        frames.append(chunk.inspect(index))
      }
    }
    return frames
  }
}

extension Chunk {
  private static let shownBytes = 2_048

  fileprivate func inspect(_ index: Int) -> FrameInspection {
    let entry = entries[index]
    let length = frameEnd(index) - entry.offset
    let bytes = UnsafeRawBufferPointer(
      start: base + entry.offset, count: min(length, Chunk.shownBytes))
    return FrameInspection(
      id: entry.kind == .stored ? entry.id : nil, bytes: length, isRestricted: entry.audience >= 0,
      text: String(decoding: bytes, as: UTF8.self))
  }
}
