import CLibPQ

extension Message {
  /// From a row of the columns `id, data, event, visible_to, exclude`.
  fileprivate init?(_ row: Row) {
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
  private let stream: Stream
  private let limit: Int

  init(store: MessageStore, stream: Stream, _ query: (sql: String, parameters: [String?])) {
    self.store = store
    self.stream = stream
    limit = stream.readRows
    super.init(sql: query.sql, parameters: query.parameters)
  }

  override func takeRows(of result: OpaquePointer) {
    guard stream.isOfRead(result) else { return store.foundAnother(than: stream) }
    let count = PQntuples(result)
    let taken = take(result, count)
    stream.adaptReads(taken: taken, wasCut: taken < count)
    store.receiver?.readEnded(of: stream, isShort: taken == count && Int(count) < limit)
  }

  /// Returns how many rows were taken before no more could be.
  private func take(_ result: OpaquePointer, _ count: Int32) -> Int {
    for index in 0..<count {
      guard let message = Message(Row(result, index)) else { continue }
      if store.receiver?.take(message, of: stream) == false { return Int(index) }
    }
    return Int(count)
  }

  override func failed(_ failure: QueryFailure) {
    store.receiver?.questionFailed(of: stream, failure, page: nil)
  }
}

/// Reads a page for those who are behind.
final class PageQuery: Query {
  private unowned let store: MessageStore
  private let stream: Stream
  private let after: Int64
  private let limit: Int
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
    guard identity == stream.identity else { return }
    guard stream.isOfRead(result) else {
      stream.requestedPages.remove(after)
      return store.foundAnother(than: stream)
    }
    let epoch = stream.log.epoch
    let rowCount = PQntuples(result)
    let (taken, byteCount) = fittingRows(of: result, epoch: epoch)
    let frames = Chunk(start: 0, capacity: max(byteCount, 1))
    for index in 0..<taken {
      guard let message = Message(Row(result, index)) else { continue }
      let fits = frames.append(message, afterID: after, epoch: epoch)
      precondition(fits, "the page was made for these frames")
    }
    let last = frames.entries.last?.id ?? after
    stream.adaptReads(taken: Int(taken), wasCut: taken < rowCount)
    let isShort = Int(rowCount) < limit && taken == rowCount
    let page = Page(after: after, through: isShort ? max(last, knownTip) : last, frames: frames)
    store.receiver?.took(page, of: stream)
  }

  /// As many rows as a page may hold bytes of, but one at least.
  private func fittingRows(
    of result: OpaquePointer, epoch: UInt32?
  ) -> (count: Int32, bytes: Int) {
    var bytes = 0
    for index in 0..<PQntuples(result) {
      guard let message = Message(Row(result, index)) else { continue }
      let frameBytes = Chunk.frameBytes(of: message, epoch: epoch)
      if index > 0 && bytes + frameBytes > MessageStore.pageBytes { return (index, bytes) }
      bytes += frameBytes
    }
    return (PQntuples(result), bytes)
  }

  override func failed(_ failure: QueryFailure) {
    guard identity == stream.identity else { return }
    store.receiver?.questionFailed(of: stream, failure, page: after)
  }
}

extension Stream {
  /// Whether the rows are of the stream that the log is of: a store that has epochs gives them along.
  fileprivate func isOfRead(_ result: OpaquePointer) -> Bool {
    guard PQnfields(result) > 5, PQntuples(result) > 0,
      let epoch = Row(result, 0).integer(5)
    else { return true }
    return log.epoch == UInt32(truncatingIfNeeded: epoch)
  }
}
