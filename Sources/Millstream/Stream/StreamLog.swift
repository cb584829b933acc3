/// The recent frames of one stream, in id order, in memory, bounded in bytes.
///
///     floor │ chunk │ chunk │ chunk      │
///     ids ≤ floor   start        position…   end
///           are gone from memory
///
/// Positions count the bytes of all frames ever appended; they only grow. Every message of the
/// stream with an id in `floor < id ≤ tip` is in here, and perhaps some below.
struct StreamLog {
  private(set) var chunks: [Chunk] = []
  /// The position behind the last frame.
  private(set) var end: UInt64 = 0
  /// Ids up to this one are not in here (any more).
  private(set) var floor: Int64
  /// Whoever stands at `start` has everything up to this id. Below `floor` where a message came late.
  private var startID: Int64
  /// The highest id that was appended, or passed over.
  private(set) var tip: Int64
  /// Tells this stream's ids from those of an earlier stream of the same name; part of every `id:`
  /// where the store has such a thing.
  let epoch: UInt32?

  /// The frame that says that the stream has begun anew, and where it ends: whoever is taken out of the
  /// log before that has to be told otherwise.
  private(set) var reset: (frame: [UInt8], end: UInt64)?

  /// The messages in here that have come out of their order, and where they begin: that somebody is past
  /// such an id says nothing of whether it has had the message.
  private(set) var late: [(id: Int64, position: UInt64)] = []

  static let smallestChunk = 1024
  static let largestChunk = 64 * 1024

  /// An empty log of a stream whose ids up to `tip` are somebody else's to deliver.
  init(tip: Int64, epoch: UInt32?) {
    floor = tip
    startID = tip
    self.tip = tip
    self.epoch = epoch
  }

  /// How much memory the frames take.
  var byteCount: Int { chunks.reduce(0) { $0 + $1.capacity } }

  /// The position of the first frame that is still in here.
  var start: UInt64 { chunks.first?.start ?? end }

  /// Appends the frame of a message whose id, if it has one, is above `tip`.
  mutating func append(_ message: Message, isLate: Bool = false) {
    precondition(message.id.map { $0 > tip } ?? true, "ids only grow")
    if chunks.last?.append(message, afterID: tip, epoch: epoch, isLate: isLate) != true {
      let chunk = makeChunk(for: Chunk.frameBytes(of: message, epoch: epoch))
      let fits = chunk.append(message, afterID: tip, epoch: epoch, isLate: isLate)
      precondition(fits, "the chunk was made for this frame")
      chunks.append(chunk)
    }
    end = chunks[chunks.count - 1].end
    if let id = message.id { tip = id }
  }

  /// A message with this id, which is appended next, has come out of its order: whoever resumes below it has to read it from the
  /// store.
  mutating func cameLate(_ id: Int64) {
    late.append((id, end))
    floor = max(floor, id)
  }

  /// What lies between `tip` and `oldest` cannot be had any more: whoever comes by is told.
  mutating func appendGap(oldest: Int64) {
    append(ControlFrames.gap(lastSeen: tip, oldest: oldest), throughID: oldest - 1, .stored)
    tip = oldest - 1
  }

  /// The first frame of a stream that has begun anew, for those who were in the log of the old one.
  mutating func appendReset(_ frame: [UInt8]) {
    append(frame, throughID: tip, .ephemeral)
    reset = (frame, end)
  }

  private mutating func append(_ frame: [UInt8], throughID id: Int64, _ kind: Chunk.Kind) {
    if chunks.last?.append(frame, throughID: id, kind) != true {
      let chunk = makeChunk(for: frame.count)
      let fits = chunk.append(frame, throughID: id, kind)
      precondition(fits, "the chunk was made for this frame")
      chunks.append(chunk)
    }
    end = chunks[chunks.count - 1].end
  }

  /// Small streams stay small: chunks begin at 1 KiB and double up to 64 KiB.
  private func makeChunk(for byteCount: Int) -> Chunk {
    let grown = chunks.last.map { min($0.capacity * 2, StreamLog.largestChunk) }
    return Chunk(start: end, capacity: max(byteCount, grown ?? StreamLog.smallestChunk))
  }

  /// The chunk that holds the byte at `position`, which must be in the log and not its end.
  func chunk(at position: UInt64) -> Chunk {
    precondition(position >= start && position < end, "position \(position) is not in the log")
    var index = chunks.count - 1
    while chunks[index].start > position { index -= 1 }
    return chunks[index]
  }

  /// Where a reader goes on that has everything up to `id`; nil if the log no longer reaches back.
  func position(afterID id: Int64) -> UInt64? {
    if id < floor { return nil }
    for chunk in chunks {
      let offset = chunk.offset(afterID: id)
      if offset < chunk.count { return chunk.start + UInt64(offset) }
    }
    return end
  }

  /// Everything up to the returned id lies before `position`.
  func idBefore(_ position: UInt64) -> Int64 {
    for chunk in chunks.reversed() where chunk.start < position {
      let index = chunk.index(at: Int(min(position, chunk.end) - chunk.start) - 1)
      return chunk.entries[index].id
    }
    return startID
  }

  /// The bytes of the frame that begins at `position`, in their chunk.
  func frame(at position: UInt64) -> (chunk: Chunk, range: Range<Int>) {
    let chunk = chunk(at: position)
    let offset = Int(position - chunk.start)
    return (chunk, offset..<chunk.frameEnd(chunk.index(at: offset)))
  }

  /// Where the log would begin if it were trimmed; nil if nothing would go.
  func startIfTrimmed(toBytes bound: Int) -> UInt64? {
    let count = surplusChunks(bound)
    return count == 0 ? nil : chunks[count].start
  }

  /// Drops chunks from the front until `bound` holds, but never the last one, which is being filled.
  /// Whoever stands in one of them has to be moved before.
  mutating func trim(toBytes bound: Int) {
    let count = surplusChunks(bound)
    guard count > 0 else { return }
    startID = chunks[count - 1].entries.last?.id ?? startID
    floor = max(floor, startID)
    chunks.removeFirst(count)
    let start = self.start
    late.removeAll { $0.position < start }
  }

  private func surplusChunks(_ bound: Int) -> Int {
    var total = byteCount
    var count = 0
    while count + 1 < chunks.count && total > bound {
      total -= chunks[count].capacity
      count += 1
    }
    return count
  }
}
