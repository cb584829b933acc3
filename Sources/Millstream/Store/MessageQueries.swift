import CLibPQ

extension Message {
  /// From a row of the columns `id, data, event, visible_to, exclude`.
  init?(_ row: Row) {
    guard let id = row.integer(0) else { return nil }
    // A row without a message is an empty message: what follows it must not wait for ever.
    let data = row.bytes(1) ?? UnsafeRawBufferPointer(start: nil, count: 0)
    self.init(
      id: id, data: data, event: row.bytes(2), visibleTo: row.bytes(3), exclude: row.bytes(4))
  }
}

/// Reads new messages into a stream's log.
final class LogQuery: Query {
  private unowned let store: MessageStore
  let stream: Stream
  let limit: Int

  init(store: MessageStore, stream: Stream, _ query: (sql: String, parameters: [String?])) {
    self.store = store
    self.stream = stream
    limit = stream.readRows
    super.init(sql: query.sql, parameters: query.parameters)
  }

  override func takeRows(of result: OpaquePointer) {
    guard stream.isOfRead(result) else { return store.foundAnother(than: stream) }
    tellOfGap(before: result)
    store.receiver?.readEnded(of: stream, take(result, messageCount(of: result)))
  }

  /// Where nothing is left of what the log has, what is missing above it was removed, too. But a hole
  /// that came up while the store was read all the time is of a transaction that was rolled back.
  private func tellOfGap(before result: OpaquePointer) {
    guard stream.log.tip > 0, stream.wasInterrupted || stream.order.isByID, !hasBefore(result),
      let first = firstID(of: result), first > stream.log.tip + 1,
      stream.order.allows(first, after: stream.log.tip)
    else { return }
    store.receiver?.foundGap(in: stream, oldest: first)
  }

  private func take(_ result: OpaquePointer, _ count: Int32) -> ReadEnd {
    for index in 0..<count {
      guard let message = Message(Row(result, index)) else { continue }
      switch store.receiver?.take(message, of: stream) {
      case .taken, nil: continue
      case .heldBack: return .held(through: Row(result, count - 1).integer(0) ?? message.id ?? 0)
      case .full:
        stream.wasInterrupted = true
        stream.adaptReads(taken: Int(index), wasCut: true)
        return .more
      }
    }
    stream.adaptReads(taken: Int(count), wasCut: false)
    // Where ids were given out and nothing is there, what comes next says what has gone.
    let hasAllGone = count == 0 && stream.highestSeen > stream.log.tip
    stream.wasInterrupted = Int(count) == limit || stream.wasInterrupted && hasAllGone
    return Int(count) < limit ? .short : .more
  }

  override func failed(_ failure: QueryFailure) {
    store.receiver?.questionFailed(of: stream, failure, page: nil)
  }
}

/// Reads a page for those who are behind.
final class PageQuery: Query {
  private unowned let store: MessageStore
  let stream: Stream
  let after: Int64
  let limit: Int
  /// What was known to exist when the page was asked for: a short page reaches up to here.
  private let knownTip: Int64
  /// The incarnation of the stream that was asked for.
  private let identity: Int64

  init(
    store: MessageStore, stream: Stream, after: Int64,
    _ query: (sql: String, parameters: [String?])
  ) {
    self.store = store
    self.stream = stream
    limit = stream.readRows
    self.after = after
    knownTip = stream.log.tip
    identity = stream.identity
    super.init(sql: query.sql, parameters: query.parameters)
  }

  override func takeRows(of result: OpaquePointer) {
    store.openPages -= 1
    guard identity == stream.identity else { return }
    guard stream.isOfRead(result) else {
      // The reader may have a question of its own under way: to it this is no more than a hint.
      stream.requestedPages.remove(after)
      store.receiver?.lookWanted(at: stream)
      return
    }
    let rowCount = knownRows(of: result)
    let (taken, byteCount) = fittingRows(of: result, tellOfLate(in: result, rowCount))
    let frames = makeFrames(of: result, taken, byteCount: byteCount)
    stream.adaptReads(taken: Int(taken), wasCut: taken < rowCount)
    let isShort = Int(rowCount) < limit && taken == rowCount
    let page = Page(
      after: after, through: isShort ? knownTip : frames.entries.last?.id ?? after,
      hasBefore: hasBefore(result), frames: frames)
    store.receiver?.took(page, of: stream)
  }

  /// Above the log's tip holes may still be filled: what is there comes by the log.
  private func knownRows(of result: OpaquePointer) -> Int32 {
    var count = messageCount(of: result)
    while count > 0, (Row(result, count - 1).integer(0) ?? .max) > knownTip { count -= 1 }
    return count
  }

  /// What was passed over and has come since goes at once to those who are connected, so that nobody who
  /// reads it here gets it again. Returns the number of rows before one that cannot go now.
  private func tellOfLate(in result: OpaquePointer, _ count: Int32) -> Int32 {
    if stream.late == nil { return count }
    for index in 0..<count {
      guard var message = Message(Row(result, index)), let id = message.id else { continue }
      message.id = nil
      if store.receiver?.takeLate(message, id: id, of: stream) == false { return index }
    }
    return count
  }

  private func makeFrames(
    of result: OpaquePointer, _ count: Int32, byteCount: Int
  ) -> Chunk {
    let frames = Chunk(start: 0, capacity: max(byteCount, 1))
    for index in 0..<count {
      guard let message = Message(Row(result, index)) else { continue }
      let fits = frames.append(message, afterID: after, epoch: stream.log.epoch)
      precondition(fits, "the page was made for these frames")
    }
    return frames
  }

  /// As many rows as a page may hold bytes of, but one at least.
  private func fittingRows(
    of result: OpaquePointer, _ count: Int32
  ) -> (count: Int32, bytes: Int) {
    let epoch = stream.log.epoch
    var bytes = 0
    for index in 0..<count {
      guard let message = Message(Row(result, index)) else { continue }
      let frameBytes = Chunk.frameBytes(of: message, epoch: epoch)
      if index > 0 && bytes + frameBytes > MessageStore.pageBytes { return (index, bytes) }
      bytes += frameBytes
    }
    return (count, bytes)
  }

  override func failed(_ failure: QueryFailure) {
    store.openPages -= 1
    guard identity == stream.identity else { return }
    store.receiver?.questionFailed(of: stream, failure, page: after)
  }
}

extension Query {
  /// Whether there is a message at or below the id after which was read, as the store says.
  fileprivate func hasBefore(_ result: OpaquePointer) -> Bool {
    PQnfields(result) > 6 && PQntuples(result) > 0 && Row(result, 0).bool(6)
  }

  /// How many messages there are; a row of nulls is none.
  fileprivate func messageCount(of result: OpaquePointer) -> Int32 {
    firstID(of: result) == nil ? 0 : PQntuples(result)
  }

  fileprivate func firstID(of result: OpaquePointer) -> Int64? {
    PQntuples(result) > 0 ? Row(result, 0).integer(0) : nil
  }
}

extension Stream {
  /// Whether the rows are of the stream that the log is of, or of one that was made anew under its name.
  func isOfRead(_ result: OpaquePointer) -> Bool {
    guard PQnfields(result) > 5, PQntuples(result) > 0, let found = Row(result, 0).integer(5)
    else { return true }
    return identity == found
  }
}
