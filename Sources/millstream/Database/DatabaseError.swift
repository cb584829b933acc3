import CLibPQ
import Millstream

/// What Postgres, or the way to it, has refused.
struct DatabaseError: Error, CustomStringConvertible {
  /// Five characters that say what kind of error it is (Postgres, appendix A); nil: the connection
  /// could not be made or was lost.
  let sqlState: String?
  /// In one line.
  let message: String

  var description: String { sqlState.map { "\(message) (SQLSTATE \($0))" } ?? message }

  /// The role may not do this.
  var isRefusal: Bool { sqlState == "42501" }
  /// A schema, function or table is not there.
  var isAbsence: Bool { ["3F000", "42883", "42P01"].contains(sqlState) }
  var isMissingTable: Bool { sqlState == "42P01" }

  /// The state of the connection itself.
  init(connection: OpaquePointer?) {
    sqlState = nil
    message = DatabaseError.oneLine(PQerrorMessage(connection))
  }

  /// It was not even tried.
  init(_ error: ConfigurationError) {
    sqlState = nil
    message = error.description
  }

  private init(sqlState: String, message: String) {
    (self.sqlState, self.message) = (sqlState, message)
  }

  init(result: OpaquePointer?, connection: OpaquePointer) {
    // 'C' and 'M': PG_DIAG_SQLSTATE and PG_DIAG_MESSAGE_PRIMARY, macros that Swift does not see.
    guard let state = PQresultErrorField(result, 0x43),
      let message = PQresultErrorField(result, 0x4d)
    else {
      self.init(connection: connection)
      return
    }
    // 'H': PG_DIAG_MESSAGE_HINT.
    let hint = PQresultErrorField(result, 0x48).map { ". " + DatabaseError.oneLine($0) } ?? ""
    self.init(sqlState: String(cString: state), message: DatabaseError.oneLine(message) + hint)
  }

  private static func oneLine(_ text: UnsafePointer<CChar>?) -> String {
    guard let text else { return "out of memory" }
    return String(cString: text).split(whereSeparator: \.isNewline)
      .map { $0.drop(while: \.isWhitespace) }.joined(separator: "; ")
  }
}

extension DatabaseError {
  /// What to say of it to whoever wanted `to` do something by `calling` functions of Millstream's schema;
  /// `absence`: if that is not there.
  func failure(to verb: String, calling functions: String, absence: String) -> OperatingFailure {
    if isAbsence { return OperatingFailure(absence) }
    if isRefusal {
      return OperatingFailure(
        """
        \(message): the owner of the schema has to run GRANT USAGE ON SCHEMA millstream and \
        GRANT EXECUTE ON FUNCTION \(functions) for this role
        """)
    }
    return OperatingFailure("cannot \(verb): \(self)")
  }
}
