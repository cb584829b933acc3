/// Makes a page for those who are behind of what a read gave.
struct PageRead {
  unowned let store: MessageStore
  let stream: Stream
  let after: Int64
  /// How many messages were asked for.
  let limit: Int
  /// What was known to exist when the page was asked for: a short page reaches up to here.
  private let knownTip: Int64
  /// The incarnation of the stream that was asked for.
  private let incarnation: Int

  init(store: MessageStore, stream: Stream, after: Int64) {
    self.store = store
    self.stream = stream
    self.after = after
    limit = stream.readRows
    knownTip = stream.log.tip
    incarnation = stream.incarnation
  }

  /// Whether the stream still is the one that was asked for.
  var isCurrent: Bool { incarnation == stream.incarnation }

  func finish(_ rows: some MessageRows) {
    let known = knownCount(of: rows)
    let count = tellOfLate(in: rows, known)
    if let filter = store.receiver?.filter {
      makePage(of: filtered(rows, count, filter), count, known: known)
    } else {
      makePage(of: rows, count, known: known)
    }
  }

  func failed(_ failure: QueryFailure) {
    if isCurrent { store.receiver?.questionFailed(of: stream, failure, page: after) }
  }

  private func makePage(of rows: some MessageRows, _ count: Int, known: Int) {
    let (taken, byteCount) = fitting(rows, count)
    let frames = makeFrames(of: rows, taken, byteCount: byteCount)
    stream.adaptReads(taken: taken, wasCut: taken < known)
    let isShort = known < limit && taken == known
    let page = Page(
      after: after, through: isShort ? knownTip : frames.entries.last?.id ?? after,
      hasBefore: rows.hasBefore, frames: frames)
    store.receiver?.took(page, of: stream)
  }

  /// Above the log's tip holes may still be filled: what is there comes by the log.
  private func knownCount(of rows: some MessageRows) -> Int {
    var count = rows.count
    while count > 0, rows.id(count - 1) > knownTip { count -= 1 }
    return count
  }

  /// The filter is asked once for each message, and what it gives has to last until the page is made.
  private func filtered(
    _ rows: some MessageRows, _ count: Int, _ filter: MessageFilter
  ) -> CollectedRows {
    let kept = CollectedRows()
    kept.hasBefore = rows.hasBefore
    for index in 0..<count { filter.pass(rows.message(index), of: stream) { kept.append($0) } }
    return kept
  }

  /// What was passed over and has come since goes at once to those who are connected, so that nobody who
  /// reads it here gets it again. Returns the number of messages before one that cannot go now.
  private func tellOfLate(in rows: some MessageRows, _ count: Int) -> Int {
    if stream.late == nil { return count }
    for index in 0..<count {
      var message = rows.message(index)
      let id = rows.id(index)
      message.id = nil
      if store.receiver?.takeLate(message, id: id, of: stream) == false { return index }
    }
    return count
  }

  private func makeFrames(of rows: some MessageRows, _ count: Int, byteCount: Int) -> Chunk {
    let frames = Chunk(start: 0, capacity: max(byteCount, 1))
    for index in 0..<count {
      let fits = frames.append(rows.message(index), afterID: after, epoch: stream.log.epoch)
      precondition(fits, "the page was made for these frames")
    }
    return frames
  }

  /// As many messages as a page may hold bytes of, but one at least.
  private func fitting(_ rows: some MessageRows, _ count: Int) -> (count: Int, bytes: Int) {
    var bytes = 0
    for index in 0..<count {
      let frameBytes = Chunk.frameBytes(of: rows.message(index), epoch: stream.log.epoch)
      if index > 0 && bytes + frameBytes > MessageStore.pageBytes { return (index, bytes) }
      bytes += frameBytes
    }
    return (count, bytes)
  }
}
