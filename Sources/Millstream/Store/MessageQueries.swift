import CLibPQ

/// Reads new messages into a stream's log.
final class LogQuery: Query {
  let read: LogRead

  init(_ read: LogRead, _ query: (sql: String, parameters: [String?])) {
    self.read = read
    super.init(sql: query.sql, parameters: query.parameters)
  }

  override func takeRows(of result: OpaquePointer) {
    guard read.stream.isOfRead(result) else { return read.store.foundAnother(than: read.stream) }
    read.finish(ResultRows(result))
  }

  override func failed(_ failure: QueryFailure) {
    read.store.receiver?.questionFailed(of: read.stream, failure, page: nil)
  }
}

/// Reads a page for those who are behind.
final class PageQuery: Query {
  let read: PageRead

  init(_ read: PageRead, _ query: (sql: String, parameters: [String?])) {
    self.read = read
    super.init(sql: query.sql, parameters: query.parameters)
  }

  override func takeRows(of result: OpaquePointer) {
    read.store.openPages -= 1
    guard read.isCurrent else { return }
    guard read.stream.isOfRead(result) else {
      // The reader may have a question of its own under way: to it this is no more than a hint.
      read.stream.requestedPages.remove(read.after)
      read.store.receiver?.lookWanted(at: read.stream)
      return
    }
    read.finish(ResultRows(result))
  }

  override func failed(_ failure: QueryFailure) {
    read.store.openPages -= 1
    read.failed(failure)
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
