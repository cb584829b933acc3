import Millstream
import Synchronization

/// Tells other threads that a loop turns. Made before the loop runs.
final class LoopPulse: @unchecked Sendable {
  private let turnedAtMs = Atomic(Clock.system.monotonicMs)
  // Touched on the loop's thread alone once it runs.
  private var timer: TimerWatcher?

  /// The loop says that often that it turns.
  static let intervalMs: Int64 = 500

  init(loop: EventLoop) {
    timer = TimerWatcher(loop: loop) { [unowned self] in
      turnedAtMs.store(Clock.system.monotonicMs, ordering: .relaxed)
    }
    timer?.repeatFiring(everyMs: LoopPulse.intervalMs)
  }

  /// How long ago the loop has turned for the last time, as far as is known. From any thread.
  var silentMs: Int64 { Clock.system.monotonicMs - turnedAtMs.load(ordering: .relaxed) }
}
