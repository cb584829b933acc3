import CLoad
import Glibc

/// epoll, level-triggered: one `receive` for each readiness is then enough, whatever is left.
struct Poller: ~Copyable {
  /// Small, so that a connection does not wait long for its turn behind others of its batch.
  static let batchSize = 256

  private let descriptor: Int32
  private let events: UnsafeMutablePointer<epoll_event>

  init() throws(LoadError) {
    descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard descriptor >= 0 else { throw .system("epoll_create1", errno) }
    events = .allocate(capacity: Poller.batchSize)
  }

  deinit {
    close(descriptor)
    events.deallocate()
  }

  /// Watches for the end of `connect` and for whatever may come before.
  func addConnecting(_ fd: Int32, index: Int) throws(LoadError) {
    try control(EPOLL_CTL_ADD, fd, index, EPOLLIN.rawValue | EPOLLOUT.rawValue)
  }

  func watchReadable(_ fd: Int32, index: Int) throws(LoadError) {
    try control(EPOLL_CTL_MOD, fd, index, EPOLLIN.rawValue)
  }

  private func control(
    _ operation: Int32, _ fd: Int32, _ index: Int, _ mask: UInt32
  ) throws(LoadError) {
    var event = epoll_event()
    event.events = mask
    event.data.u32 = UInt32(index)
    guard epoll_ctl(descriptor, operation, fd, &event) == 0 else {
      throw .system("epoll_ctl", errno)
    }
  }

  /// How many events there are; none after `timeoutMs`, or when a signal came.
  func wait(timeoutMs: Int32) -> Int {
    Int(max(0, epoll_wait(descriptor, events, Int32(Poller.batchSize), timeoutMs)))
  }

  func index(of event: Int) -> Int {
    Int(events[event].data.u32)
  }

  func mask(of event: Int) -> UInt32 {
    events[event].events
  }
}
