import CLibPQ
import Glibc

/// How queries go out and answers come in: libpq's pipeline mode, without waiting for anything.
extension PostgresSession {
  func socketReady(_ ready: IOEvents) {
    guard connection != nil else { return }
    if machine.isConnecting { return poll() }
    if ready.contains(.readable) { receive() }
    if ready.contains(.writable) { flush() }
  }

  private func receive() {
    guard let connection else { return }
    guard PQconsumeInput(connection) == 1 else { return fail(lastError) }
    // Only an answer is a sign of life of what was asked.
    let hasAnswered = takeResults(from: connection)
    takeNotifications()
    if hasAnswered && self.connection == connection && machine.isReady { setDeadline() }
  }

  /// In pipeline mode a query's results end with a null, and a sync gives a result of its own.
  /// Returns whether there was any.
  private func takeResults(from connection: OpaquePointer) -> Bool {
    var nulls = 0
    var hasTaken = false
    while self.connection == connection, PQisBusy(connection) == 0 {
      guard let result = PQgetResult(connection) else {
        nulls += 1
        if nulls > 1 { return hasTaken }
        continue
      }
      nulls = 0
      hasTaken = true
      take(result)
      PQclear(result)
    }
    return hasTaken
  }

  private func take(_ result: OpaquePointer) {
    let status = PQresultStatus(result)
    if status == PGRES_PIPELINE_SYNC { return }
    guard openQueries > 0 else { return fail("an answer that nobody asked for") }
    let query = open[openHead]
    openHead += 1
    if openHead == open.count || openHead >= 1024 {
      open.removeFirst(openHead)
      openHead = 0
    }
    switch status {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
      query.takeRows(of: result)
      query.finished()
    default: query.failed(refusal(result))
    }
  }

  private func refusal(_ result: OpaquePointer) -> QueryFailure {
    let state = PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) }
    let message = PQresultErrorField(result, Int32(UInt8(ascii: "M"))).map { String(cString: $0) }
    let aborted = PQresultStatus(result) == PGRES_PIPELINE_ABORTED
    return .refused(
      sqlState: state ?? "",
      message: aborted ? "an earlier query of the transaction failed" : message ?? lastError)
  }

  private func takeNotifications() {
    while let connection, let notification = PQnotifies(connection) {
      let channel = UnsafeRawBufferPointer(
        start: notification.pointee.relname, count: strlen(notification.pointee.relname))
      let payload = UnsafeRawBufferPointer(
        start: notification.pointee.extra, count: strlen(notification.pointee.extra))
      events.notified(channel, payload)
      PQfreemem(notification)
    }
  }
}
