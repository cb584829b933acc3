/// What `doctor` has found out about one PGMQ queue.
struct QueueState: Equatable {
  /// In the order of how much they hurt.
  enum Problem: CaseIterable {
    case noTable, unreadable, noTrigger, noThrottleRow, capitals, throttled

    var isFailure: Bool { self != .capitals && self != .throttled }
  }

  let name: String
  let hasTables: Bool
  let isReadable: Bool
  let hasTrigger: Bool
  /// Nil: the row is not there.
  let throttleMs: Int?
  /// Before PGMQ 1.8 there is no such table, and nothing is throttled.
  let hasThrottles: Bool

  /// From a row of the query in `PGMQChecks`.
  init?(_ row: [String?], hasThrottles: Bool) {
    guard row.count == 5, let name = row[0] else { return nil }
    self.name = name
    (hasTables, isReadable, hasTrigger) = (row[1] == "t", row[2] == "t", row[3] == "t")
    throttleMs = row[4].flatMap { Int($0) }
    self.hasThrottles = hasThrottles
  }

  /// The worst.
  var problem: Problem? {
    if !hasTables { return .noTable }
    if !isReadable { return .unreadable }
    // The trigger looks for the row under the folded name, and never finds it: nothing else helps.
    if name != name.lowercased() { return .capitals }
    if !hasTrigger { return .noTrigger }
    if hasThrottles && throttleMs == nil { return .noThrottleRow }
    return throttleMs ?? 0 > 0 ? .throttled : nil
  }

  func text(of problem: Problem) -> String {
    switch problem {
    case .noTable: "its tables are gone"
    case .unreadable: "this role may not read its tables"
    case .noTrigger: "the trigger that notifies is missing or disabled"
    case .noThrottleRow:
      "its row in pgmq.notify_insert_throttle is missing (lost in a crash): the trigger sends nothing"
    case .capitals:
      "for a name with capital letters PGMQ's trigger sends nothing: messages wait for the look of "
        + "--safety-poll"
    case .throttled:
      "throttled: messages may come \(throttleMs ?? 0) ms late, or with the look of --safety-poll"
    }
  }

  func remedy(of problem: Problem, _ grants: Grants) -> String {
    switch problem {
    case .noTable: "select pgmq.drop_queue(\(quotedName)), and let the application make it anew"
    case .unreadable: grants.remedy(["SELECT ON ALL TABLES IN SCHEMA pgmq"])
    case .capitals: "use lower-case names for streams, or live with it"
    case .noTrigger, .noThrottleRow, .throttled:
      "select pgmq.enable_notify_insert(\(quotedName), 0)"
    }
  }

  /// As an SQL literal, to be copied.
  private var quotedName: String {
    "'" + name.map { $0 == "'" ? "''" : String($0) }.joined() + "'"
  }
}
