import CLibPQ
import Glibc

/// How queries go out and answers come in: libpq's pipeline mode, without waiting for anything.
extension PostgresSession {
  /// Puts a query into the pipeline, as a transaction of its own unless more are to `follow` in it.
  /// `flush` sends it.
  func submit(_ query: Query, moreFollow: Bool = false) {
    guard let connection, machine.isConnected else { return query.failed(.sessionLost) }
    let isFirst = openQueries == 0
    let strings = query.parameters.map { $0.map { strdup($0) } ?? nil }
    defer { strings.forEach { free($0) } }
    let values = strings.map { UnsafePointer<CChar>($0) }
    let isSent = PQsendQueryParams(
      connection, query.sql, Int32(values.count), nil, values, nil, nil, 0)
    if isSent == 1 && end(connection, isFirst: isFirst, moreFollow: moreFollow) {
      open.append(query)
      if isFirst && machine.isReady { setDeadline(isSignOfLifeDue: moreFollow) }
    } else {
      query.failed(.sessionLost)
    }
  }

  /// The first of a transaction's queries costs the server nothing, so its answer is asked for ahead
  /// of the others': a session that is open and dead is found out soon, though a question may take long.
  private func end(_ connection: OpaquePointer, isFirst: Bool, moreFollow: Bool) -> Bool {
    if !moreFollow { return PQpipelineSync(connection) == 1 }
    return !isFirst || PQsendFlushRequest(connection) == 1
  }

  /// Sends what was submitted.
  func flush() {
    guard let connection, machine.isReady || openQueries > 0 else { return }
    switch PQflush(connection) {
    case 0: watcher.watch(PQsocket(connection), for: .readable)
    case 1: watcher.watch(PQsocket(connection), for: [.readable, .writable])
    default: return fail(lastError)
    }
  }

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
