import CLibEv
import CSystem
import Glibc

/// libev's loop as one descriptor, for a host whose loop is of another kind.
public final class LoopPoller {
  /// Readable when sockets of the loop are ready or its timers are due; never to be read or closed.
  public let descriptor: Int32
  private let timer: Int32
  private let loop: EventLoop
  /// libev does not say when its next timer is due; none of ours is due more often.
  private static let timerMs = 50
  /// How many slices of work are done before the host has its turn.
  private static let slices = 8

  /// A poller of `loop`, which nobody else runs.
  ///
  /// - Throws: `EventLoopError.noBackend` if descriptors have run out, or /proc is not there.
  public init(loop: EventLoop) throws(EventLoopError) {
    self.loop = loop
    timer = ms_timer_open()
    guard timer >= 0 else { throw .noBackend }
    descriptor = ms_poll_both(LoopPoller.descriptor(of: loop, watching: timer), timer)
    guard descriptor >= 0 else {
      close(timer)
      throw .noBackend
    }
  }

  /// What libev waits on, found by what it watches; -1: it cannot be told.
  private static func descriptor(of loop: EventLoop, watching watched: Int32) -> Int32 {
    let watcher = UnsafeMutablePointer<ev_io>.allocate(capacity: 1)
    defer { watcher.deallocate() }
    watcher.initialize(to: ev_io())
    ms_io_init(watcher, { _, _, _ in }, watched, Int32(EV_READ))
    ev_io_start(loop.raw, watcher)
    loop.runOnce()
    let descriptor = ms_epoll_watching(watched)
    ev_io_stop(loop.raw, watcher)
    loop.runOnce()
    return descriptor
  }

  deinit {
    close(descriptor)
    close(timer)
  }

  /// To be called after each call of the instance from outside of `run`: what that has begun libev does not
  /// know of before it runs.
  public func isDue() {
    ms_timer_set(timer, 0)
  }

  /// Does what is due without waiting. What was begun on the way is told to the kernel by a last round.
  public func run(_ instance: Instance) {
    for _ in 0..<LoopPoller.slices {
      loop.runOnce()
      if !instance.hasMore { break }
    }
    loop.runOnce()
    ms_timer_set(timer, instance.hasMore ? 0 : LoopPoller.timerMs)
  }
}
