import CLibEv

/// What a descriptor is ready for, or is watched for.
package struct IOEvents: OptionSet {
  package let rawValue: Int32

  package init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  package static let readable = IOEvents(rawValue: Int32(EV_READ))
  package static let writable = IOEvents(rawValue: Int32(EV_WRITE))
}

/// Watches one descriptor. libev's struct lives in memory of its own that never moves.
package final class IOWatcher {
  private let watcher = UnsafeMutablePointer<ev_io>.allocate(capacity: 1)
  private let loop: EventLoop
  private let handler: (IOEvents) -> Void

  /// `handler` runs on the loop; it may drop this watcher, which then goes when the handler returns.
  package init(loop: EventLoop, handler: @escaping (IOEvents) -> Void) {
    self.loop = loop
    self.handler = handler
    watcher.initialize(to: ev_io())
    ms_io_init(watcher, ioReady, -1, 0)
    watcher.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    stop()
    watcher.deallocate()
  }

  /// Watches `descriptor` for `events` from now on, whatever was watched before.
  package func watch(_ descriptor: Int32, for events: IOEvents) {
    let isSame = watcher.pointee.fd == descriptor && watcher.pointee.events & 3 == events.rawValue
    if isSame && ms_io_is_active(watcher) != 0 { return }
    ev_io_stop(loop.raw, watcher)
    ms_io_init(watcher, ioReady, descriptor, events.rawValue)
    ev_io_start(loop.raw, watcher)
  }

  /// Stops watching; the descriptor may be closed after it.
  package func stop() {
    ev_io_stop(loop.raw, watcher)
  }

  fileprivate func forward(_ events: Int32) {
    handler(IOEvents(rawValue: events & 3))
  }
}

/// A timer, for one time or again and again. Times are seconds, as libev counts them.
package final class TimerWatcher {
  private let watcher = UnsafeMutablePointer<ev_timer>.allocate(capacity: 1)
  private let loop: EventLoop
  private let handler: () -> Void

  package init(loop: EventLoop, handler: @escaping () -> Void) {
    self.loop = loop
    self.handler = handler
    watcher.initialize(to: ev_timer())
    ms_timer_init(watcher, timerFired, 0, 0)
    watcher.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    stop()
    watcher.deallocate()
  }

  package var isActive: Bool { ms_timer_is_active(watcher) != 0 }

  /// Fires once, `delay` from now; an earlier setting is forgotten.
  package func fire(afterMs delay: Int64) {
    start(afterMs: delay, everyMs: 0)
  }

  /// Fires every `interval`, the first time one interval from now.
  package func repeatFiring(everyMs interval: Int64) {
    start(afterMs: interval, everyMs: interval)
  }

  package func stop() {
    ev_timer_stop(loop.raw, watcher)
  }

  private func start(afterMs: Int64, everyMs: Int64) {
    stop()
    ev_now_update(loop.raw)
    ms_timer_init(watcher, timerFired, Double(afterMs) / 1000, Double(everyMs) / 1000)
    ev_timer_start(loop.raw, watcher)
  }

  fileprivate func forward() {
    handler()
  }
}

/// Handles a signal on the loop instead of in a signal handler.
public final class SignalWatcher {
  private let watcher = UnsafeMutablePointer<ev_signal>.allocate(capacity: 1)
  private let loop: EventLoop
  private let handler: () -> Void

  /// Watches `signalNumber` from now until this object goes.
  public init(loop: EventLoop, signalNumber: Int32, handler: @escaping () -> Void) {
    self.loop = loop
    self.handler = handler
    watcher.initialize(to: ev_signal())
    ms_signal_init(watcher, signalCame, signalNumber)
    watcher.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    ev_signal_start(loop.raw, watcher)
  }

  deinit {
    ev_signal_stop(loop.raw, watcher)
    watcher.deallocate()
  }

  fileprivate func forward() {
    handler()
  }
}

/// Wakes the loop from another thread: the one thing here that may be called from anywhere.
public final class AsyncWatcher: @unchecked Sendable {
  private let watcher = UnsafeMutablePointer<ev_async>.allocate(capacity: 1)
  private let loop: EventLoop
  private let handler: () -> Void

  /// `handler` runs on the loop, once for any number of `wake()`s since it ran last.
  public init(loop: EventLoop, handler: @escaping () -> Void) {
    self.loop = loop
    self.handler = handler
    watcher.initialize(to: ev_async())
    ms_async_init(watcher, asyncWoken)
    watcher.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    ev_async_start(loop.raw, watcher)
  }

  deinit {
    ev_async_stop(loop.raw, watcher)
    watcher.deallocate()
  }

  /// Makes the handler run soon. Safe from any thread for as long as this object lives.
  public func wake() {
    ev_async_send(loop.raw, watcher)
  }

  fileprivate func forward() {
    handler()
  }
}

/// Is told when the host destroys the loop.
package final class CleanupWatcher {
  private let watcher = UnsafeMutablePointer<ev_cleanup>.allocate(capacity: 1)
  private let loop: EventLoop
  private let handler: () -> Void

  package init(loop: EventLoop, handler: @escaping () -> Void) {
    self.loop = loop
    self.handler = handler
    watcher.initialize(to: ev_cleanup())
    ms_cleanup_init(watcher, loopIsDestroyed)
    watcher.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    ev_cleanup_start(loop.raw, watcher)
  }

  deinit {
    stop()
    watcher.deallocate()
  }

  /// The loop may go without a word.
  package func stop() {
    ev_cleanup_stop(loop.raw, watcher)
  }

  fileprivate func forward() {
    handler()
    stop()
  }
}

// The objects are recovered with a strong reference, so that a handler may drop the last other one.

private func ioReady(_: OpaquePointer?, _ watcher: UnsafeMutablePointer<ev_io>?, _ events: Int32) {
  guard let data = watcher?.pointee.data else { return }
  Unmanaged<IOWatcher>.fromOpaque(data).takeUnretainedValue().forward(events)
}

private func timerFired(_: OpaquePointer?, _ watcher: UnsafeMutablePointer<ev_timer>?, _: Int32) {
  guard let data = watcher?.pointee.data else { return }
  Unmanaged<TimerWatcher>.fromOpaque(data).takeUnretainedValue().forward()
}

private func signalCame(_: OpaquePointer?, _ watcher: UnsafeMutablePointer<ev_signal>?, _: Int32) {
  guard let data = watcher?.pointee.data else { return }
  Unmanaged<SignalWatcher>.fromOpaque(data).takeUnretainedValue().forward()
}

private func asyncWoken(_: OpaquePointer?, _ watcher: UnsafeMutablePointer<ev_async>?, _: Int32) {
  guard let data = watcher?.pointee.data else { return }
  Unmanaged<AsyncWatcher>.fromOpaque(data).takeUnretainedValue().forward()
}

private func loopIsDestroyed(
  _: OpaquePointer?, _ watcher: UnsafeMutablePointer<ev_cleanup>?, _: Int32
) {
  guard let data = watcher?.pointee.data else { return }
  Unmanaged<CleanupWatcher>.fromOpaque(data).takeUnretainedValue().forward()
}
