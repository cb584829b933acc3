import CLibPQ
import Glibc
import Millstream

/// A session with Postgres that waits for every answer: for commands that do one thing and end, and
/// have no loop to keep running. Notices go to standard error, which is libpq's own way.
final class CommandDatabase {
  private let connection: OpaquePointer

  /// Connects. - Parameter connectionString: as libpq takes it; its own settings win over the
  /// command's, except for the encoding, which the commands rely on.
  init(_ connectionString: String, timeoutSeconds: Int64 = 10) throws(DatabaseError) {
    do {
      try Configuration.check(connectionString: connectionString)
    } catch {
      throw DatabaseError(error)
    }
    let settings: [(String, String)] = [
      ("fallback_application_name", "millstream"), ("connect_timeout", "\(timeoutSeconds)"),
      ("dbname", connectionString), ("client_encoding", "UTF8"),
    ]
    let connection = CStrings.with(settings.map(\.0) + [nil]) { keywords in
      CStrings.with(settings.map(\.1) + [nil]) { values in
        PQconnectdbParams(keywords, values, 1)
      }
    }
    guard let connection else { throw DatabaseError(connection: nil) }
    guard PQstatus(connection) == CONNECTION_OK else {
      defer { PQfinish(connection) }
      throw DatabaseError(connection: connection)
    }
    self.connection = connection
  }

  deinit {
    PQfinish(connection)
  }

  /// Runs one statement and returns its rows, as text.
  @discardableResult
  func query(_ sql: String, _ parameters: [String?] = []) throws(DatabaseError) -> [[String?]] {
    let result = CStrings.with(parameters) { values in
      PQexecParams(connection, sql, Int32(parameters.count), nil, values, nil, nil, 0)
    }
    defer { PQclear(result) }
    return try rows(of: result)
  }

  /// Runs several statements, separated by semicolons.
  func run(_ script: String) throws(DatabaseError) {
    let result = PQexec(connection, script)
    defer { PQclear(result) }
    _ = try rows(of: result)
  }

  /// All of `body` or nothing of it.
  func transaction(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
    try run("BEGIN")
    do {
      try body()
      try run("COMMIT")
    } catch {
      // The first error is the one to tell; a lost connection rolls back by itself.
      try? run("ROLLBACK")
      throw error
    }
  }

  /// The first field of the first row.
  func value(_ sql: String) throws(DatabaseError) -> String? {
    try query(sql).first?.first ?? nil
  }

  /// The server process that the connection was announced to be with; a pooler makes one up.
  var announcedProcessID: Int32 { PQbackendPID(connection) }

  /// The next notification that is `wanted`; nil when none has come within the time.
  func notification(
    withinMs limitMs: Int64, where wanted: (Notification) -> Bool
  ) throws(DatabaseError) -> Notification? {
    let deadlineMs = CommandDatabase.nowMs() + limitMs
    while true {
      guard PQconsumeInput(connection) == 1 else { throw DatabaseError(connection: connection) }
      while let notification = takeNotification() {
        if wanted(notification) { return notification }
      }
      let leftMs = deadlineMs - CommandDatabase.nowMs()
      if leftMs <= 0 { return nil }
      var descriptor = pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0)
      _ = poll(&descriptor, 1, Int32(clamping: leftMs))
    }
  }

  private func takeNotification() -> Notification? {
    guard let notify = PQnotifies(connection) else { return nil }
    defer { PQfreemem(notify) }
    return Notification(
      channel: String(cString: notify.pointee.relname),
      payload: String(cString: notify.pointee.extra))
  }

  /// What a LISTEN has brought.
  struct Notification: Equatable {
    let channel: String
    let payload: String
  }

  private static func nowMs() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  private func rows(of result: OpaquePointer?) throws(DatabaseError) -> [[String?]] {
    switch PQresultStatus(result) {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
      return (0..<PQntuples(result)).map { row in
        (0..<PQnfields(result)).map { column in
          PQgetisnull(result, row, column) == 1
            ? nil : String(cString: PQgetvalue(result, row, column))
        }
      }
    default:
      throw DatabaseError(result: result, connection: connection)
    }
  }
}

/// Arrays of C strings, which C borrows for a call.
private enum CStrings {
  static func with<R>(
    _ strings: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> R
  ) -> R {
    let copies = strings.map { string in string.flatMap { strdup($0) } }
    defer { copies.forEach { free($0) } }
    let pointers = copies.map { UnsafePointer($0) }
    return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}
