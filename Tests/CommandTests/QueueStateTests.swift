import Testing

@testable import millstream

@Suite struct QueueStateTests {
  private func problem(
    _ name: String = "pgbus_chat", tables: String = "t", readable: String? = "t",
    trigger: String = "t", throttle: String? = "0", hasThrottles: Bool = true
  ) -> QueueState.Problem? {
    QueueState([name, tables, readable, trigger, throttle], hasThrottles: hasThrottles)?.problem
  }

  @Test func aQueueInOrderHasNoProblem() {
    #expect(problem() == nil)
    #expect(problem(throttle: nil, hasThrottles: false) == nil)
  }

  @Test func eachProblemIsFound() {
    #expect(problem(tables: "f", readable: nil) == .noTable)
    #expect(problem(readable: "f") == .unreadable)
    #expect(problem(trigger: "f") == .noTrigger)
    #expect(problem(throttle: nil) == .noThrottleRow)
    #expect(problem(throttle: "250") == .throttled)
    #expect(problem("pgbus_Chat", trigger: "f") == .capitals)
  }

  @Test func theRemedyCanBeCopied() {
    let state = QueueState(["a'b", "t", "t", "f", nil], hasThrottles: true)
    #expect(
      state?.remedy(of: .noTrigger, Grants(to: "millstream"))
        == "select pgmq.enable_notify_insert('a''b', 0)")
  }
}
