import Synchronization

/// Wakes a loop from other threads for as long as it wants to be woken: unlike an `AsyncWatcher`, it may
/// be rung when the loop has gone.
final class Doorbell: Sendable {
  private let watcher = Mutex<AsyncWatcher?>(nil)

  /// `handler` runs on the loop, once for any number of rings since it ran last. Called on the loop's
  /// thread, or before the loop runs.
  func install(on loop: EventLoop, handler: @escaping () -> Void) {
    let new = AsyncWatcher(loop: loop, handler: handler)
    watcher.withLock { $0 = new }
  }

  /// Rings do nothing any more. Called on the loop's thread, or when the loop runs no more.
  func remove() {
    // It goes here and not where somebody rings: stopping a watcher is for the loop's thread.
    let old = watcher.withLock { watcher -> AsyncWatcher? in
      defer { watcher = nil }
      return watcher
    }
    withExtendedLifetime(old) {}
  }

  /// Makes the handler run soon. Safe from any thread.
  func ring() {
    watcher.withLock { $0?.wake() }
  }
}
