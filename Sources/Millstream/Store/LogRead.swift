/// Takes what a read of new messages gave into a stream's log.
struct LogRead {
  unowned let store: MessageStore
  let stream: Stream
  /// How many messages were asked for.
  let limit: Int

  init(store: MessageStore, stream: Stream) {
    self.store = store
    self.stream = stream
    limit = stream.readRows
  }

  func finish(_ rows: some MessageRows) {
    tellOfGap(before: rows)
    store.receiver?.readEnded(of: stream, take(rows))
  }

  /// Where nothing is left of what the log has, what is missing above it was removed, too. But a hole
  /// that came up while the store was read all the time is of a transaction that was rolled back.
  private func tellOfGap(before rows: some MessageRows) {
    guard stream.log.tip > 0, stream.wasInterrupted || stream.order.isByID, !rows.hasBefore,
      rows.count > 0, rows.id(0) > stream.log.tip + 1,
      stream.order.allows(rows.id(0), after: stream.log.tip)
    else { return }
    store.receiver?.foundGap(in: stream, oldest: rows.id(0))
  }

  private func take(_ rows: some MessageRows) -> ReadEnd {
    for index in 0..<rows.count {
      switch store.receiver?.take(rows.message(index), of: stream) {
      case .taken, nil: continue
      case .heldBack: return .held(through: rows.id(rows.count - 1))
      case .full:
        stream.wasInterrupted = true
        stream.adaptReads(taken: index, wasCut: true)
        return .more
      }
    }
    stream.adaptReads(taken: rows.count, wasCut: false)
    // Where ids were given out and nothing is there, what comes next says what has gone.
    let hasAllGone = rows.count == 0 && stream.highestSeen > stream.log.tip
    stream.wasInterrupted = rows.count == limit || stream.wasInterrupted && hasAllGone
    return rows.count < limit ? .short : .more
  }
}
