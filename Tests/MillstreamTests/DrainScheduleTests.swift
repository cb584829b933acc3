import Testing

@testable import Millstream

@Suite struct DrainScheduleTests {
  @Test func spreadsEvenly() {
    let schedule = DrainSchedule(count: 1000, overMs: 10_000)
    #expect(schedule.due(atMs: 0) == 1)
    #expect(schedule.due(atMs: 2_500) == 251)
    #expect(schedule.due(atMs: 9_999) == 1000)
    for elapsedMs in stride(from: Int64(0), to: 9_950, by: 50) {
      let step = schedule.due(atMs: elapsedMs + 50) - schedule.due(atMs: elapsedMs)
      #expect(step == 5)
    }
  }

  @Test func oneAloneDoesNotWait() {
    #expect(DrainSchedule(count: 1, overMs: 10_000).due(atMs: 0) == 1)
  }

  @Test func atTheEndAllAreDueWhoeverHasCome() {
    for schedule in [
      DrainSchedule(count: 3, overMs: 1_000), DrainSchedule(count: 1_000_000, overMs: 1_000),
    ] {
      #expect(schedule.due(atMs: 999) <= schedule.count)
      #expect(schedule.due(atMs: 1_000) == .max)
    }
  }

  @Test func withoutTimeOrClientsThereIsNothingToWaitFor() {
    #expect(DrainSchedule(count: 10, overMs: 0).due(atMs: 0) == .max)
    #expect(DrainSchedule(count: 0, overMs: 10_000).due(atMs: 0) == .max)
  }

  /// A longer drain of more clients than there are on one machine.
  @Test func doesNotOverflow() {
    let schedule = DrainSchedule(count: 10_000_000, overMs: 24 * 3_600_000)
    #expect(schedule.due(atMs: 12 * 3_600_000) == 5_000_001)
  }
}
