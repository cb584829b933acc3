import CLibPQ

@testable import Millstream

/// What the server says to a query, before it has gone over the wire.
struct SimulatedAnswer {
  var columns: Int32 = 1
  var rows: [[String?]] = []
  /// The SQLSTATE, where the query was refused.
  var refusal: String?

  static let absent = SimulatedAnswer(refusal: "42P01")

  var summary: String {
    refusal ?? rows.prefix(6).map { "\($0.map { $0?.prefix(8) ?? "-" })" }.joined()
  }

  /// Hands the answer to the query as `PostgresSession` does.
  func hand(to query: Query) {
    if let refusal {
      return query.failed(.refused(sqlState: refusal, message: "simulated"))
    }
    guard let result = PQmakeEmptyPGresult(nil, PGRES_TUPLES_OK) else { return }
    defer { PQclear(result) }
    var name = Array("c".utf8CString)
    name.withUnsafeMutableBufferPointer { name in
      let column = PGresAttDesc(
        name: name.baseAddress, tableid: 0, columnid: 0, format: 0, typid: 25, typlen: -1,
        atttypmod: -1)
      var all = [PGresAttDesc](repeating: column, count: Int(columns))
      PQsetResultAttrs(result, columns, &all)
    }
    for (index, row) in rows.enumerated() { fill(result, Int32(index), row) }
    query.takeRows(of: result)
    query.finished()
  }

  private func fill(_ result: OpaquePointer, _ index: Int32, _ row: [String?]) {
    for (column, value) in row.enumerated() {
      guard var text = value else {
        PQsetvalue(result, index, Int32(column), nil, -1)
        continue
      }
      text.withUTF8 { bytes in
        _ = bytes.withMemoryRebound(to: CChar.self) {
          PQsetvalue(
            result, index, Int32(column), UnsafeMutablePointer(mutating: $0.baseAddress),
            Int32($0.count))
        }
      }
    }
  }
}

/// The queries of the stores, answered as of now.
extension SimulatedPostgres {
  func answer(to query: Query) -> SimulatedAnswer {
    switch query {
    case let query as LookQuery: return look(query)
    case let query as LogQuery:
      let tellsBefore = query.sql.contains("kept.lowest")
      return messages(query, of: query.read.stream, query.read.limit, tellsBefore: tellsBefore)
    case let query as PageQuery:
      return messages(query, of: query.read.stream, query.read.limit, tellsBefore: true)
    case let query as HoldersQuery: return holders(query)
    case let query as LateQuery: return late(query)
    case let query as OpenHolesQuery: return openHoles(query)
    case is StreamListQuery: return streamList(query)
    default:
      let isThrottleTable = query.sql.contains("to_regclass('pgmq.notify_insert_throttle')")
      return isThrottleTable ? SimulatedAnswer(rows: [["t"]]) : SimulatedAnswer()
    }
  }

  /// Which native streams there are that fit.
  private func streamList(_ query: Query) -> SimulatedAnswer {
    let texts = (query.parameters[0] ?? "").split(whereSeparator: { "{},\"".contains($0) })
    let limit = Int(query.parameters[2] ?? "") ?? 0
    let rows = texts.enumerated().flatMap { index, text -> [[String?]] in
      let pattern = StreamPattern(String(text.map { $0 == "%" ? "*" : $0 }))
      let fitting = queues.filter {
        $0.store == .native && $0.current != nil && pattern.matches($0.name.utf8)
      }
      return fitting.prefix(limit).map { [String(index + 1), $0.name, "f"] }
    }
    return SimulatedAnswer(columns: 3, rows: rows)
  }

  private func look(_ query: LookQuery) -> SimulatedAnswer {
    let rows = query.streams.enumerated().compactMap { index, stream -> [String?]? in
      guard let queue = queue(stream.store, stream.storageName), let current = queue.current
      else { return nil }
      let ordinal = String(index + 1)
      let last = queue.hidesSequence ? Finding.unknownID : current.lastID
      if queue.store == .native {
        return [ordinal, String(current.identity), String(last), "1"]
      }
      return [
        ordinal, String(current.identity), String(last), queue.throttleMs.map { String($0) },
        String(current.relation),
      ]
    }
    return SimulatedAnswer(columns: 5, rows: rows)
  }

  private func messages(
    _ query: Query, of stream: Stream, _ limit: Int, tellsBefore: Bool
  ) -> SimulatedAnswer {
    let isNative = stream.store == .native
    guard let current = queue(stream.store, stream.storageName)?.current else {
      return isNative ? SimulatedAnswer(columns: 6) : .absent
    }
    let after = SimulatedPostgres.numbers(query.parameters[isNative ? 1 : 0]).first ?? 0
    let found = current.visible(after: after, limit: limit)
    let rows = found.map(SimulatedPostgres.columns)
    let identity = String(current.identity)
    guard tellsBefore && !isNative else {
      return SimulatedAnswer(columns: 6, rows: rows.map { $0 + [identity] })
    }
    let lowest = current.visible(after: 0, limit: 1).first
    let isBefore = lowest.map { $0.id <= after ? "t" : "f" }
    let filled = rows.isEmpty ? [[String?](repeating: nil, count: 5)] : rows
    return SimulatedAnswer(columns: 7, rows: filled.map { $0 + [identity, isBefore] })
  }

  private static func columns(_ record: MessageRecord) -> [String?] {
    [String(record.id), record.text, nil, record.visibleTo, record.exclude?.description]
  }

  private func holders(_ query: HoldersQuery) -> SimulatedAnswer {
    let rows = SimulatedPostgres.numbers(query.parameters[0]).enumerated().map {
      [String($0.offset + 1), holders(of: $0.element)]
    }
    return SimulatedAnswer(columns: 2, rows: rows)
  }

  private func holders(of relation: Int64) -> String {
    "{" + transactions.filter { $0.lockedMs(relation) != nil }.map(\.name).joined(separator: ",")
      + "}"
  }

  /// What the snapshot shows, and the locks of a later moment.
  func highest(for query: TipQuery) -> String?? {
    guard let current = queue(.pgmq, query.stream.storageName)?.current else { return nil }
    return .some(current.records.last { $0.isThere }.map { String($0.id) })
  }

  func answer(to query: TipQuery, highest: String?) -> SimulatedAnswer {
    let relation = SimulatedPostgres.numbers(query.parameters[0]).first ?? 0
    let identity = queue(.pgmq, query.stream.storageName)?.current?.identity
    return SimulatedAnswer(
      columns: 3, rows: [[highest, holders(of: relation), identity.map { String($0) }]])
  }

  private func late(_ query: LateQuery) -> SimulatedAnswer {
    guard let current = queue(.pgmq, query.stream.storageName)?.current else { return .absent }
    let lows = SimulatedPostgres.numbers(query.parameters[0])
    let ranges = zip(lows, SimulatedPostgres.numbers(query.parameters[1]))
    let found = current.records.filter { record in
      record.isThere && ranges.contains { $0 <= record.id && record.id <= $1 }
    }
    let rows = found.prefix(query.limit).map(SimulatedPostgres.columns)
    return SimulatedAnswer(
      columns: 6, rows: rows.map { $0 + [String(current.identity)] })
  }

  private func openHoles(_ query: OpenHolesQuery) -> SimulatedAnswer {
    guard let current = queue(.pgmq, query.stream.storageName)?.current else { return .absent }
    let base = SimulatedPostgres.numbers(query.parameters[0]).first ?? 0
    let ageMs = SimulatedPostgres.numbers(query.parameters[1]).first ?? 0
    let ids = current.visible(after: base, limit: .max)
    let old = ids.last { $0.enqueuedMs < nowMs - ageMs }?.id ?? 0
    let highest = ids.last.map { String($0.id) }
    var pairs: [[String?]] = []
    var next = base + 1
    for record in ids {
      if next <= record.id - 1 {
        let isOld = record.id - 1 < old ? "t" : "f"
        pairs.append([String(next), String(record.id - 1), isOld, nil, nil])
      }
      next = record.id + 1
    }
    let relation = SimulatedPostgres.numbers(query.parameters[2]).first ?? 0
    let first = [nil, nil, nil, highest, holders(of: relation)]
    return SimulatedAnswer(columns: 5, rows: [first] + pairs.reversed())
  }

  /// An array literal of numbers, or one number.
  private static func numbers(_ parameter: String?) -> [Int64] {
    (parameter ?? "").split(whereSeparator: { "{},".contains($0) }).compactMap { Int64($0) }
  }
}
