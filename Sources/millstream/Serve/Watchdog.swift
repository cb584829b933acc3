import Millstream

/// Tells the service manager that all loops turn, for as long as they do. Without that word it ends the
/// process and starts another one.
final class Watchdog {
  private let manager: ServiceManager
  private let pulses: [LoopPulse]
  private let longestSilenceMs: Int64
  private let timer: TimerWatcher
  private var isShuttingDown = false

  /// Nil: nobody watches. Made before the loops run.
  init?(manager: ServiceManager, mainLoop: EventLoop, loops: [EventLoop]) {
    guard let watchdogMs = ServiceManager.watchdogMs else { return nil }
    self.manager = manager
    pulses = loops.map { LoopPulse(loop: $0) }
    longestSilenceMs = max(watchdogMs / 2, 2 * LoopPulse.intervalMs)
    weak var weakSelf: Watchdog?
    timer = TimerWatcher(loop: mainLoop) { weakSelf?.tick() }
    weakSelf = self
    timer.repeatFiring(everyMs: max(watchdogMs / 4, 10))
  }

  /// From here on a loop that does not turn may have come to its end.
  func shutdownBegan() { isShuttingDown = true }

  private func tick() {
    let isWell = pulses.allSatisfy { $0.silentMs < longestSilenceMs }
    if isShuttingDown || isWell { manager.alive() }
  }
}
