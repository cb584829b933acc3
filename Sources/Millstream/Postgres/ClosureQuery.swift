/// A question whose answer goes to closures: for what is asked seldom.
final class ClosureQuery: Query {
  private let took: (Row) -> Void
  private let ended: (Result<Int, QueryFailure>) -> Void
  private var rowCount = 0

  /// `took` gets each row, and `ended` how many there were, or why there are none.
  init(
    _ sql: String, _ parameters: [String?], took: @escaping (Row) -> Void = { _ in },
    ended: @escaping (Result<Int, QueryFailure>) -> Void
  ) {
    self.took = took
    self.ended = ended
    super.init(sql: sql, parameters: parameters)
  }

  override func row(_ row: Row) {
    rowCount += 1
    took(row)
  }

  override func finished() { ended(.success(rowCount)) }

  override func failed(_ failure: QueryFailure) { ended(.failure(failure)) }
}

extension QueryFailure {
  /// The table is not there, or not for this role: asking again is of no use.
  var isFinal: Bool {
    guard case .refused(let sqlState, _) = self else { return false }
    // Also a column or the unique index that is missing: then it is another table than pgbus's.
    return isAbsence || ["42501", "42703", "42P10"].contains(sqlState)
  }

  /// Postgres cannot keep what was given.
  var isOfData: Bool {
    guard case .refused(let sqlState, _) = self else { return false }
    return sqlState.hasPrefix("22")
  }
}
