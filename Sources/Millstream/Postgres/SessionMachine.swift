/// The life of one Postgres session, without its I/O: what happened goes in, what to do comes out.
///
///     idle ─▶ resolving ─▶ connecting ─▶ checking ─▶ ready
///                 ▲                          │
///                 └───── backing off ◀── any failure
struct SessionMachine {
  enum Action: Equatable {
    case none
    /// Find the addresses of the host, off the loop.
    case resolve
    /// Start connecting, now that the addresses are known.
    case connect
    /// Wait until the socket of the connection attempt is readable, or writable, then poll.
    case waitReadable
    case waitWritable
    /// Connected: ask what server this is.
    case check
    /// The session can be used.
    case announceReady
    /// Drop the connection; try again after so long.
    case retry(afterMs: Int64)
    /// Drop the connection for good.
    case close
  }

  /// What `PQconnectPoll` said.
  enum PollResult: Equatable { case reading, writing, ok, failed }

  private enum State: Equatable {
    case idle, resolving, connecting, checking, ready, backingOff, stopped
  }

  static let shortestBackoffMs: Int64 = 20
  static let firstBackoffMs: Int64 = 500
  static let longestBackoffMs: Int64 = 5_000

  private var state = State.idle
  /// Failures since the session was last ready.
  private(set) var failures = 0
  /// Gives a number from 0 to 1: spreads the attempts of many loops.
  private let random: () -> Double

  init(random: @escaping () -> Double = { Double.random(in: 0...1) }) {
    self.random = random
  }

  var isReady: Bool { state == .ready }
  var isConnecting: Bool { state == .connecting }
  /// Whether there is a server that answers queries.
  var isConnected: Bool { state == .ready || state == .checking }
  var isStopped: Bool { state == .stopped }

  mutating func started() -> Action {
    guard state == .idle else { return .none }
    state = .resolving
    return .resolve
  }

  mutating func resolved() -> Action {
    guard state == .resolving else { return .none }
    state = .connecting
    return .connect
  }

  mutating func polled(_ result: PollResult) -> Action {
    guard state == .connecting else { return .none }
    switch result {
    case .reading: return .waitReadable
    case .writing: return .waitWritable
    case .failed: return failed()
    case .ok:
      state = .checking
      return .check
    }
  }

  /// The check was answered; a standby sends no notifications and may lag, so it will not do.
  mutating func checked(isPrimary: Bool) -> Action {
    guard state == .checking else { return .none }
    guard isPrimary else { return failed() }
    state = .ready
    failures = 0
    return .announceReady
  }

  /// Whatever went wrong: the connection is of no use any more.
  mutating func failed() -> Action {
    switch state {
    case .idle, .backingOff, .stopped: return .none
    case .resolving, .connecting, .checking, .ready:
      state = .backingOff
      failures += 1
      return .retry(afterMs: backoffMs())
    }
  }

  mutating func backoffEnded() -> Action {
    guard state == .backingOff else { return .none }
    state = .resolving
    return .resolve
  }

  mutating func stopped() -> Action {
    guard state != .stopped else { return .none }
    state = .stopped
    return .close
  }

  /// Any time up to a limit that doubles with each failure. A server that goes cuts all loops off in
  /// the same millisecond, and they must not all be back in the same one: so even the first attempt
  /// is spread, and the whole of the delay is random.
  private func backoffMs() -> Int64 {
    let doublings = min(failures - 1, 10)
    let full = min(SessionMachine.firstBackoffMs << doublings, SessionMachine.longestBackoffMs)
    let shortest = SessionMachine.shortestBackoffMs
    return shortest + Int64(random() * Double(full - shortest))
  }
}
