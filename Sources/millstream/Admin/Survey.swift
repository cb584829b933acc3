import Millstream

/// How one loop stands.
struct LoopReport: Sendable {
  /// From 0.
  let number: Int
  /// It has answered in time.
  let isUp: Bool
  /// As it was seen last; nil: never.
  let snapshot: Snapshot?
}

/// Asks all loops how they stand, and waits for them, but not long.
final class Survey {
  let reporters: [LoopReporter]
  private let answered: AsyncWatcher
  private var round = 0
  private var isUnderWay = false
  private var waiting: [([LoopReport]) -> Void] = []
  private let timer: TimerWatcher

  /// A loop that does not answer for so long is not waited for.
  static let longestMs: Int64 = 500

  init(mainLoop: EventLoop, loops: [(EventLoop, Instance)]) {
    weak var weakSelf: Survey?
    let answered = AsyncWatcher(loop: mainLoop) { weakSelf?.loopAnswered() }
    self.answered = answered
    timer = TimerWatcher(loop: mainLoop) { weakSelf?.finish() }
    reporters = loops.map { LoopReporter(loop: $0, instance: $1, answered: answered) }
    weakSelf = self
  }

  /// `done` gets a report of each loop, in order. Those who ask while others wait get what they get.
  func ask(_ done: @escaping ([LoopReport]) -> Void) {
    waiting.append(done)
    if isUnderWay { return }
    isUnderWay = true
    round += 1
    timer.fire(afterMs: Survey.longestMs)
    for reporter in reporters { reporter.ask(round: round) }
  }

  private func loopAnswered() {
    if isUnderWay && reporters.allSatisfy({ $0.hasAnswered(round: round) }) { finish() }
  }

  private func finish() {
    isUnderWay = false
    timer.stop()
    let reports = reporters.enumerated().map { number, reporter in
      LoopReport(
        number: number, isUp: reporter.hasAnswered(round: round), snapshot: reporter.lastSnapshot)
    }
    let done = waiting
    waiting = []
    for each in done { each(reports) }
  }
}
