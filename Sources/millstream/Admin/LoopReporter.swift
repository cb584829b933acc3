import Glibc
import Millstream
import Synchronization

/// Tells the main loop how another one stands: on the loop's own thread it takes a snapshot when it is
/// asked to. Made before the loop runs.
final class LoopReporter: @unchecked Sendable {
  private struct Answer {
    var round: Int
    var snapshot: Snapshot?
  }

  private let instance: Instance
  private let answer = Mutex(Answer(round: 0, snapshot: nil))
  private let wanted = Atomic<Int>(0)
  private let turnedAtMs: Atomic<Int64>
  /// Woken with each answer.
  private let answered: AsyncWatcher
  // Started here and not when first used: that would be on another thread.
  private var asking: AsyncWatcher?
  private var pulse: TimerWatcher?

  /// The loop says that often that it turns.
  private static let pulseMs: Int64 = 500

  init(loop: EventLoop, instance: Instance, answered: AsyncWatcher) {
    self.instance = instance
    self.answered = answered
    turnedAtMs = Atomic(Clock.system.monotonicMs)
    asking = AsyncWatcher(loop: loop) { [unowned self] in report() }
    pulse = TimerWatcher(loop: loop) { [unowned self] in
      turnedAtMs.store(Clock.system.monotonicMs, ordering: .relaxed)
    }
    pulse?.repeatFiring(everyMs: LoopReporter.pulseMs)
  }

  private func report() {
    let snapshot = instance.snapshot
    let round = wanted.load(ordering: .acquiring)
    answer.withLock { $0 = Answer(round: round, snapshot: snapshot) }
    answered.wake()
  }

  // MARK: From any thread

  /// Asks for a snapshot. Rounds count up from 1.
  func ask(round: Int) {
    wanted.store(round, ordering: .releasing)
    asking?.wake()
  }

  /// Whether that round, or a later one, has been answered.
  func hasAnswered(round: Int) -> Bool { answer.withLock { $0.round >= round } }

  /// The last that was heard; nil: nothing yet.
  var lastSnapshot: Snapshot? { answer.withLock { $0.snapshot } }

  /// How long ago the loop has turned for the last time, as far as is known.
  var silentMs: Int64 { Clock.system.monotonicMs - turnedAtMs.load(ordering: .relaxed) }
}
