import CLibEv

/// The two ends of a loop iteration: work put off until the loop is about to sleep, and work that
/// goes on in slices without letting the loop sleep at all.
///
/// libev calls *prepare* watchers right before it waits. While `hasMore` says that there is work
/// left, an *idle* watcher keeps the wait at zero; it has the lowest priority, so sockets and timers
/// that are ready come between two slices.
final class LoopPhases {
  private let prepare = UnsafeMutablePointer<ev_prepare>.allocate(capacity: 1)
  private let idle = UnsafeMutablePointer<ev_idle>.allocate(capacity: 1)
  private let loop: EventLoop
  private let beforeSleep: () -> Bool

  /// `beforeSleep` does one slice of the work and returns whether more is left.
  init(loop: EventLoop, beforeSleep: @escaping () -> Bool) {
    self.loop = loop
    self.beforeSleep = beforeSleep
    prepare.initialize(to: ev_prepare())
    idle.initialize(to: ev_idle())
    ms_prepare_init(prepare, loopPrepares)
    ms_idle_init(idle, loopIsIdle)
    prepare.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    ev_prepare_start(loop.raw, prepare)
  }

  /// Nothing more is done, and the loop is kept from nothing.
  func stop() {
    ev_prepare_stop(loop.raw, prepare)
    ev_idle_stop(loop.raw, idle)
  }

  deinit {
    stop()
    prepare.deallocate()
    idle.deallocate()
  }

  fileprivate func forward() {
    let hasMore = beforeSleep()
    if hasMore {
      ev_idle_start(loop.raw, idle)
    } else {
      ev_idle_stop(loop.raw, idle)
    }
  }
}

private func loopPrepares(
  _: OpaquePointer?, _ watcher: UnsafeMutablePointer<ev_prepare>?, _: Int32
) {
  guard let data = watcher?.pointee.data else { return }
  Unmanaged<LoopPhases>.fromOpaque(data).takeUnretainedValue().forward()
}

/// Only its being active matters: it keeps the loop from sleeping.
private func loopIsIdle(_: OpaquePointer?, _: UnsafeMutablePointer<ev_idle>?, _: Int32) {}
