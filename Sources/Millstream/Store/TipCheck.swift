import CLibPQ
import Glibc

/// Asks whether the last message in the log is still the one that the store has under its id. On a
/// standby that was promoted before it had everything, ids are given out again.
final class TipCheck: Query {
  private unowned let store: MessageStore
  private let stream: Stream
  private let finding: Finding
  private var isSame = true

  /// `query` gives the message with the id of the log's tip, and perhaps some above it.
  init(
    store: MessageStore, stream: Stream, finding: Finding,
    _ query: (sql: String, parameters: [String?])
  ) {
    self.store = store
    self.stream = stream
    self.finding = finding
    super.init(sql: query.sql, parameters: query.parameters)
  }

  override func takeRows(of result: OpaquePointer) {
    let rows = ResultRows(result)
    guard rows.count > 0 else { return }
    guard let filter = store.receiver?.filter else {
      isSame = stream.log.mayHold(rows.message(0))
      return
    }
    filter.pass(rows.message(0), of: stream) { isSame = stream.log.mayHold($0) }
  }

  override func finished() {
    store.receiver?.checkedTip(of: stream, finding, isSame: isSame)
  }

  override func failed(_ failure: QueryFailure) {
    store.lookFailed(at: stream, failure)
  }
}

extension StreamLog {
  /// Whether the log's last frame is of `message`; true where that cannot be told.
  func mayHold(_ message: Message) -> Bool {
    guard message.id == tip, let chunk = chunks.last,
      let index = chunk.entries.lastIndex(where: { $0.kind == .stored }),
      chunk.entries[index].id == tip
    else { return true }
    let offset = chunk.entries[index].offset
    let byteCount = Chunk.frameBytes(of: message, epoch: epoch)
    guard byteCount == chunk.frameEnd(index) - offset else { return false }
    let frame = Chunk(start: 0, capacity: byteCount)
    return frame.append(message, afterID: tip, epoch: epoch)
      && memcmp(frame.base, chunk.base + offset, byteCount) == 0
  }
}
