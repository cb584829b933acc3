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
  /// What else is to be done on the loop's thread.
  private let errands = Mutex<[@Sendable (Instance) -> Void]>([])
  private let wanted = Atomic<Int>(0)
  /// Woken with each answer.
  private let answered: AsyncWatcher
  // Started here and not when first used: that would be on another thread.
  private var asking: AsyncWatcher?
  private let pulse: LoopPulse

  init(loop: EventLoop, instance: Instance, answered: AsyncWatcher) {
    self.instance = instance
    self.answered = answered
    pulse = LoopPulse(loop: loop)
    asking = AsyncWatcher(loop: loop) { [unowned self] in
      runErrands()
      report()
    }
  }

  private func runErrands() {
    let waiting = errands.withLock { errands in
      defer { errands = [] }
      return errands
    }
    for errand in waiting { errand(instance) }
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

  /// For a loop that hangs, no more errands wait than that.
  private static let maximumErrands = 64

  /// Has `errand` done on the loop's thread, if the loop turns. The main loop hears of it.
  func perform(_ errand: @escaping @Sendable (Instance) -> Void) {
    errands.withLock { errands in
      if errands.count < LoopReporter.maximumErrands { errands.append(errand) }
    }
    asking?.wake()
  }

  /// Whether that round, or a later one, has been answered.
  func hasAnswered(round: Int) -> Bool { answer.withLock { $0.round >= round } }

  /// The last that was heard; nil: nothing yet.
  var lastSnapshot: Snapshot? { answer.withLock { $0.snapshot } }

  /// How long ago the loop has turned for the last time, as far as is known.
  var silentMs: Int64 { pulse.silentMs }
}
