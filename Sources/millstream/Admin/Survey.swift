import Millstream
import Synchronization

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
  private var beganMs: Int64 = 0
  private var waiting: [([LoopReport]) -> Void] = []
  private var polls: [Poll] = []
  private let timer: TimerWatcher

  /// A loop that does not answer for so long is not waited for.
  static let longestMs: Int64 = 500

  init(mainLoop: EventLoop, loops: [(EventLoop, Instance)]) {
    weak var weakSelf: Survey?
    let answered = AsyncWatcher(loop: mainLoop) { weakSelf?.loopAnswered() }
    self.answered = answered
    timer = TimerWatcher(loop: mainLoop) { weakSelf?.timeIsOver() }
    reporters = loops.map { LoopReporter(loop: $0, instance: $1, answered: answered) }
    weakSelf = self
  }

  /// `done` gets a report of each loop, in order. Those who ask while others wait get what they get.
  func ask(_ done: @escaping ([LoopReport]) -> Void) {
    waiting.append(done)
    if isUnderWay { return }
    isUnderWay = true
    round += 1
    beganMs = Clock.system.monotonicMs
    setTimer()
    for reporter in reporters { reporter.ask(round: round) }
  }

  /// Has something done on each loop's own thread. `done` gets what came in time, by the loops' numbers.
  func collect<Answer: Sendable>(
    _ errand: @escaping @Sendable (Instance) -> Answer, _ done: @escaping ([Int: Answer]) -> Void
  ) {
    let answers = Answers<Answer>()
    let count = reporters.count
    polls.append(
      Poll(
        deadlineMs: Clock.system.monotonicMs + Survey.longestMs,
        isComplete: { answers.all.count == count }, finish: { done(answers.all) }))
    setTimer()
    for reporter in reporters.enumerated() {
      reporter.element.perform { answers.add(errand($0), of: reporter.offset) }
    }
  }

  private func setTimer() {
    if !timer.isActive { timer.fire(afterMs: Survey.longestMs) }
  }

  private func stopTimerIfIdle() {
    if !isUnderWay && polls.isEmpty { timer.stop() }
  }

  private func timeIsOver() {
    let nowMs = Clock.system.monotonicMs
    if isUnderWay && nowMs - beganMs >= Survey.longestMs { finish() }
    finishPolls { $0.isComplete() || $0.deadlineMs <= nowMs }
    if isUnderWay || !polls.isEmpty { timer.fire(afterMs: Survey.longestMs / 4) }
  }

  private func finishPolls(where isOver: (Poll) -> Bool) {
    let over = polls.filter(isOver)
    guard !over.isEmpty else { return }
    polls.removeAll(where: isOver)
    stopTimerIfIdle()
    for poll in over { poll.finish() }
  }

  private func loopAnswered() {
    finishPolls { $0.isComplete() }
    if isUnderWay && reporters.allSatisfy({ $0.hasAnswered(round: round) }) { finish() }
  }

  private func finish() {
    isUnderWay = false
    stopTimerIfIdle()
    let reports = reporters.enumerated().map { number, reporter in
      LoopReport(
        number: number, isUp: reporter.hasAnswered(round: round), snapshot: reporter.lastSnapshot)
    }
    let done = waiting
    waiting = []
    for each in done { each(reports) }
  }
}

/// Something that was asked of all loops, and is waited for.
private struct Poll {
  let deadlineMs: Int64
  let isComplete: () -> Bool
  let finish: () -> Void
}

/// What the loops answer, each on its own thread.
private final class Answers<Answer: Sendable>: Sendable {
  private let byLoop = Mutex<[Int: Answer]>([:])

  var all: [Int: Answer] { byLoop.withLock { $0 } }

  func add(_ answer: Answer, of loop: Int) { byLoop.withLock { $0[loop] = answer } }
}
