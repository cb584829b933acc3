import CLibPQ

/// A question to Postgres, and what becomes of its answer. Stores derive their own from it.
///
/// The parameters go in text form. Everything runs on the loop; `row` is called as rows arrive.
class Query {
  let sql: String
  let parameters: [String?]

  init(sql: String, parameters: [String?] = []) {
    self.sql = sql
    self.parameters = parameters
  }

  /// One row. Its bytes are valid during the call.
  func row(_ row: Row) {}

  /// All rows of a result; those who need them together override it.
  func takeRows(of result: OpaquePointer) {
    for index in 0..<PQntuples(result) { row(Row(result, index)) }
  }

  /// All rows have come.
  func finished() {}

  /// It was refused, or the session broke before it was answered. No `finished` follows.
  func failed(_ failure: QueryFailure) {}
}

/// Why a query had no answer.
enum QueryFailure: Error {
  /// The session went; whether the server ran the query is not known.
  case sessionLost
  /// The server's refusal: its SQLSTATE and its words.
  case refused(sqlState: String, message: String)

  /// Somebody else has a lock for longer than we wait.
  var isLocked: Bool {
    if case .refused("55P03", _) = self { true } else { false }
  }

  /// The table, the function or the schema is not there.
  var isAbsence: Bool {
    guard case .refused(let sqlState, _) = self else { return false }
    return ["42P01", "3F000", "42883"].contains(sqlState)
  }
}

/// One row of a result, borrowed from libpq.
struct Row {
  private let result: OpaquePointer
  private let index: Int32

  init(_ result: OpaquePointer, _ index: Int32) {
    self.result = result
    self.index = index
  }

  /// The bytes of a column as text; nil for NULL.
  func bytes(_ column: Int32) -> UnsafeRawBufferPointer? {
    guard PQgetisnull(result, index, column) == 0 else { return nil }
    let value = PQgetvalue(result, index, column)
    return UnsafeRawBufferPointer(
      start: value, count: Int(PQgetlength(result, index, column)))
  }

  /// A column that holds a whole number; nil for NULL and for what is none.
  func integer(_ column: Int32) -> Int64? {
    guard let bytes = bytes(column), !bytes.isEmpty else { return nil }
    let isNegative = bytes[0] == UInt8(ascii: "-")
    var magnitude: Int64 = 0
    for byte in bytes.dropFirst(isNegative ? 1 : 0) {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      let (scaled, overflowed) = magnitude.multipliedReportingOverflow(by: 10)
      let (sum, carried) = scaled.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
      if overflowed || carried { return nil }
      magnitude = sum
    }
    return isNegative ? -magnitude : magnitude
  }

  func text(_ column: Int32) -> String? {
    bytes(column).map { String(decoding: $0, as: UTF8.self) }
  }

  func bool(_ column: Int32) -> Bool {
    bytes(column)?.first == UInt8(ascii: "t")
  }
}
