import Testing

@testable import Millstream

@Suite struct SessionMachineTests {
  @Test func connectsInOrder() {
    var machine = SessionMachine()
    #expect(machine.started() == .resolve)
    #expect(machine.started() == .none)
    #expect(machine.resolved() == .connect)
    #expect(machine.polled(.writing) == .waitWritable)
    #expect(machine.polled(.reading) == .waitReadable)
    #expect(machine.polled(.ok) == .check)
    #expect(!machine.isReady)
    #expect(machine.checked(isPrimary: true) == .announceReady)
    #expect(machine.isReady)
  }

  @Test func backsOffLongerEachTimeUpToALimit() {
    var machine = SessionMachine(random: { 1 })
    var delays: [Int64] = []
    _ = machine.started()
    for _ in 0..<9 {
      guard case .retry(let delay) = machine.failed() else { break }
      delays.append(delay)
      #expect(machine.backoffEnded() == .resolve)
    }
    #expect(delays == [500, 1000, 2000, 4000, 5000, 5000, 5000, 5000, 5000])
  }

  @Test func allOfTheDelayIsRandom() {
    var machine = SessionMachine(random: { 0 })
    _ = machine.started()
    #expect(machine.failed() == .retry(afterMs: 20))
  }

  @Test func standbyWillNotDo() {
    var machine = checking()
    guard case .retry = machine.checked(isPrimary: false) else {
      Issue.record("a standby was taken")
      return
    }
    #expect(!machine.isReady)
  }

  @Test func readyForgetsEarlierFailures() {
    var machine = SessionMachine(random: { 1 })
    _ = machine.started()
    for _ in 0..<5 {
      _ = machine.failed()
      _ = machine.backoffEnded()
    }
    _ = machine.resolved()
    _ = machine.polled(.ok)
    _ = machine.checked(isPrimary: true)
    #expect(machine.failed() == .retry(afterMs: 500))
  }

  @Test func failureIsCountedOnce() {
    var machine = checking()
    _ = machine.failed()
    #expect(machine.failed() == .none)
    #expect(machine.failures == 1)
  }

  @Test func nothingHappensAfterStop() {
    var machine = checking()
    #expect(machine.stopped() == .close)
    #expect(machine.stopped() == .none)
    #expect(machine.failed() == .none)
    #expect(machine.backoffEnded() == .none)
    #expect(machine.checked(isPrimary: true) == .none)
  }

  private func checking() -> SessionMachine {
    var machine = SessionMachine()
    _ = machine.started()
    _ = machine.resolved()
    _ = machine.polled(.ok)
    return machine
  }
}
