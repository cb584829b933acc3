import CLibEv
import Glibc
import Testing

@testable import Millstream

/// Watchers on real loops. A loop whose test is broken is stopped by a guard, not waited for.
@Suite struct ReactorTests {
  private let loop: EventLoop

  init() throws {
    loop = try EventLoop()
  }

  @Test func timersFireInOrderAndOnce() {
    var fired: [Int] = []
    let later = TimerWatcher(loop: loop) { fired.append(2) }
    let sooner = TimerWatcher(loop: loop) { fired.append(1) }
    later.fire(afterMs: 20)
    sooner.fire(afterMs: 1)
    #expect(later.isActive)
    run { fired.count == 2 }
    #expect(fired == [1, 2])
    #expect(!later.isActive && !sooner.isActive)
  }

  @Test func timerThatIsSetAnewForgetsItsSetting() {
    var count = 0
    let timer = TimerWatcher(loop: loop) { count += 1 }
    timer.fire(afterMs: 3_600_000)
    timer.fire(afterMs: 1)
    run { count == 1 }
    timer.fire(afterMs: 1)
    timer.stop()
    #expect(!timer.isActive)
  }

  @Test func repeatingTimerFiresUntilItIsStopped() {
    var count = 0
    var timer: TimerWatcher?
    timer = TimerWatcher(loop: loop) {
      count += 1
      if count == 3 { timer?.stop() }
    }
    timer?.repeatFiring(everyMs: 1)
    run { count == 3 }
    #expect(timer?.isActive == false)
    timer = nil
  }

  @Test func runEndsWhenNoWatcherIsLeft() {
    var count = 0
    let timer = TimerWatcher(loop: loop) { count += 1 }
    timer.fire(afterMs: 1)
    loop.run()
    #expect(count == 1)
  }

  @Test func stopEndsTheRun() {
    var count = 0
    let timer = TimerWatcher(loop: loop) {
      count += 1
      loop.stop()
    }
    timer.repeatFiring(everyMs: 1)
    loop.run()
    #expect(count == 1)
  }

  @Test func descriptorIsReportedAsWhatItIsReadyFor() {
    let (near, far) = pair()
    var seen: [IOEvents] = []
    let watcher = IOWatcher(loop: loop) { seen.append($0) }
    watcher.watch(near, for: .readable)
    loop.runOnce()
    #expect(seen.isEmpty)
    write(far, "x", 1)
    run { !seen.isEmpty }
    #expect(seen == [.readable])
    watcher.watch(near, for: [.readable, .writable])
    run { seen.count == 2 }
    #expect(seen[1] == [.readable, .writable])
    watcher.stop()
    loop.runOnce()
    #expect(seen.count == 2)
    closeAll(near, far)
  }

  @Test func watcherChangesItsDescriptor() {
    let (near, far) = pair()
    let (other, end) = pair()
    var count = 0
    let watcher = IOWatcher(loop: loop) { _ in count += 1 }
    watcher.watch(near, for: .readable)
    loop.runOnce()
    watcher.watch(other, for: .readable)
    write(far, "x", 1)
    loop.runOnce()
    #expect(count == 0)
    write(end, "x", 1)
    run { count > 0 }
    watcher.stop()
    closeAll(near, far, other, end)
  }

  @Test func handlerMayDropItsOwnWatcher() {
    let (near, far) = pair()
    var dropped = 0
    var io: IOWatcher?
    var timer: TimerWatcher?
    io = IOWatcher(loop: loop) { _ in
      io = nil
      dropped += 1
    }
    timer = TimerWatcher(loop: loop) {
      timer = nil
      dropped += 1
    }
    io?.watch(near, for: .writable)
    timer?.repeatFiring(everyMs: 1)
    run { dropped == 2 }
    loop.runOnce()
    #expect(dropped == 2 && io == nil && timer == nil)
    closeAll(near, far)
  }

  @Test func droppedWatcherIsHeardNoMore() {
    var count = 0
    var timer: TimerWatcher? = TimerWatcher(loop: loop) { count += 1 }
    timer?.fire(afterMs: 0)
    timer = nil
    loop.runOnce()
    #expect(count == 0)
  }

  @Test func signalIsHandledOnTheLoop() {
    var count = 0
    let watcher = SignalWatcher(loop: loop, signalNumber: SIGURG) { count += 1 }
    kill(getpid(), SIGURG)
    run { count > 0 }
    withExtendedLifetime(watcher) {}
  }

  @Test func anotherThreadWakesTheLoop() {
    var count = 0
    let watcher = AsyncWatcher(loop: loop) {
      count += 1
      loop.stop()
    }
    var thread = pthread_t()
    let started = pthread_create(
      &thread, nil,
      { context in
        let watcher = Unmanaged<AsyncWatcher>.fromOpaque(context!).takeUnretainedValue()
        for _ in 0..<10 { watcher.wake() }
        return nil
      }, Unmanaged.passUnretained(watcher).toOpaque())
    #expect(started == 0)
    loop.run()
    pthread_join(thread, nil)
    #expect((1...10).contains(count))
  }

  @Test func wakeUpsBeforeTheHandlerRunsAreOne() {
    var count = 0
    let watcher = AsyncWatcher(loop: loop) { count += 1 }
    for _ in 0..<5 { watcher.wake() }
    run { count > 0 }
    loop.runOnce()
    #expect(count == 1)
  }

  @Test func borrowedLoopOutlivesTheBorrower() throws {
    let raw = try #require(ev_loop_new(UInt32(EVFLAG_NOENV)))
    var count = 0
    do {
      let borrowed = EventLoop(borrowing: raw)
      let timer = TimerWatcher(loop: borrowed) { count += 1 }
      timer.fire(afterMs: 1)
      ev_run(raw, 0)
    }
    #expect(count == 1)
    ev_run(raw, Int32(EVRUN_NOWAIT))
    ev_loop_destroy(raw)
  }

  @Test func workIsDoneBeforeTheLoopSleepsAndUntilThereIsNoMore() {
    var left = 3
    var slices = 0
    let phases = LoopPhases(loop: loop) {
      slices += 1
      left = max(left - 1, 0)
      return left > 0
    }
    // Without the idle watcher the second iteration would sleep for an hour.
    let timer = TimerWatcher(loop: loop) {}
    timer.fire(afterMs: 3_600_000)
    while left > 1 { ev_run(loop.raw, Int32(EVRUN_ONCE)) }
    #expect(slices == 2)
    loop.runOnce()
    #expect(slices == 3)
    phases.stop()
    loop.runOnce()
    #expect(slices == 3)
  }

  @Test func timersComeBetweenTwoSlices() {
    var count = 0
    let timer = TimerWatcher(loop: loop) { count += 1 }
    timer.fire(afterMs: 1)
    let phases = LoopPhases(loop: loop) { count == 0 }
    while count == 0 { ev_run(loop.raw, Int32(EVRUN_ONCE)) }
    #expect(count == 1)
    withExtendedLifetime(phases) {}
  }

  /// Runs the loop until `condition` holds; a bound keeps a broken test from hanging.
  private func run(until condition: () -> Bool) {
    let deadline = Clock.system.monotonicMs + 20_000
    while !condition() {
      guard Clock.system.monotonicMs < deadline else {
        Issue.record("the condition never held")
        return
      }
      loop.runOnce()
    }
  }

  private func pair() -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
    socketpair(AF_UNIX, kind, 0, &ends)
    return (ends[0], ends[1])
  }

  private func closeAll(_ descriptors: Int32...) {
    for descriptor in descriptors { close(descriptor) }
  }
}
