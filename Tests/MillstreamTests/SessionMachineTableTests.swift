import Testing

@testable import Millstream

/// Every event in every state.
@Suite struct SessionMachineTableTests {
  typealias Action = SessionMachine.Action

  enum State: CaseIterable, Sendable {
    case idle, resolving, connecting, checking, ready, backingOff, stopped
  }

  enum Event: Sendable {
    case started, resolved, reading, writing, pollFailed, connected, primary, standby, failed
    case backoffEnded, stopped
  }

  /// What an event leads to where it means something; nothing happens everywhere else.
  private static let table: [State: [Event: (Action, State)]] = [
    .idle: [.started: (.resolve, .resolving)],
    .resolving: [.resolved: (.connect, .connecting), .failed: (retry, .backingOff)],
    .connecting: [
      .reading: (.waitReadable, .connecting), .writing: (.waitWritable, .connecting),
      .pollFailed: (retry, .backingOff), .connected: (.check, .checking),
      .failed: (retry, .backingOff),
    ],
    .checking: [
      .primary: (.announceReady, .ready), .standby: (retry, .backingOff),
      .failed: (retry, .backingOff),
    ],
    .ready: [.failed: (retry, .backingOff)],
    .backingOff: [.backoffEnded: (.resolve, .resolving)],
    .stopped: [:],
  ]
  private static let retry = Action.retry(afterMs: 500)

  @Test(arguments: State.allCases) func everyEvent(in state: State) {
    let events: [Event] = [
      .started, .resolved, .reading, .writing, .pollFailed, .connected, .primary, .standby,
      .failed, .backoffEnded,
    ]
    for event in events {
      var machine = machine(in: state)
      let (action, next) = Self.table[state]![event] ?? (.none, state)
      #expect(apply(event, to: &machine) == action, "\(event) in \(state)")
      #expect(isAsIn(next, machine), "\(event) in \(state)")
    }
  }

  @Test(arguments: State.allCases) func stoppingEndsItOnce(from state: State) {
    var machine = machine(in: state)
    #expect(machine.stopped() == (state == .stopped ? .none : .close))
    #expect(isAsIn(.stopped, machine))
  }

  @Test func delayIsRandomFromTheShortestOn() {
    for (number, expected) in [(0.0, 20), (0.25, 140), (0.5, 260), (1.0, 500)] as [(Double, Int64)]
    {
      var machine = SessionMachine(random: { number })
      _ = machine.started()
      #expect(machine.failed() == .retry(afterMs: expected))
    }
  }

  @Test func aThousandFailuresOverflowNothing() {
    var machine = SessionMachine(random: { 1 })
    _ = machine.started()
    for count in 1...1000 {
      guard case .retry(let delay) = machine.failed() else {
        Issue.record("no retry")
        return
      }
      #expect(delay == min(500 << min(Int64(count) - 1, 10), SessionMachine.longestBackoffMs))
      _ = machine.backoffEnded()
    }
  }

  private func machine(in state: State) -> SessionMachine {
    var machine = SessionMachine(random: { 1 })
    let path: [State: [Event]] = [
      .idle: [], .resolving: [.started], .connecting: [.started, .resolved],
      .checking: [.started, .resolved, .connected],
      .ready: [.started, .resolved, .connected, .primary], .backingOff: [.started, .failed],
      .stopped: [.started, .stopped],
    ]
    for event in path[state]! { _ = apply(event, to: &machine) }
    return machine
  }

  private func apply(_ event: Event, to machine: inout SessionMachine) -> Action {
    switch event {
    case .started: machine.started()
    case .resolved: machine.resolved()
    case .reading: machine.polled(.reading)
    case .writing: machine.polled(.writing)
    case .pollFailed: machine.polled(.failed)
    case .connected: machine.polled(.ok)
    case .primary: machine.checked(isPrimary: true)
    case .standby: machine.checked(isPrimary: false)
    case .failed: machine.failed()
    case .backoffEnded: machine.backoffEnded()
    case .stopped: machine.stopped()
    }
  }

  /// The state shows in what the machine says of itself, and in the one event that it waits for.
  private func isAsIn(_ state: State, _ machine: SessionMachine) -> Bool {
    var copy = machine
    switch state {
    case .idle: return copy.started() == .resolve
    case .resolving: return copy.resolved() == .connect
    case .connecting: return machine.isConnecting && !machine.isConnected
    case .checking: return machine.isConnected && !machine.isReady
    case .ready: return machine.isReady && machine.isConnected
    case .backingOff: return copy.backoffEnded() == .resolve
    case .stopped: return machine.isStopped && copy.started() == .none
    }
  }
}
