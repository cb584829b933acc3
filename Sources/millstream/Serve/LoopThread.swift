import Glibc
import Millstream
import Synchronization

/// Counts the loops that have come somewhere, for the thread that waits for them.
final class LoopCounter: Sendable {
  private let number = Atomic<Int>(0)
  private let watcher: AsyncWatcher

  /// `watcher` is woken each time.
  init(waking watcher: AsyncWatcher) {
    self.watcher = watcher
  }

  var count: Int { number.load(ordering: .acquiring) }

  func add() {
    number.add(1, ordering: .releasing)
    watcher.wake()
  }
}

/// A thread that runs one loop.
final class LoopThread: @unchecked Sendable {
  /// Only the thread touches it from `start` on, but for its `order`.
  let served: ServedLoop
  /// Until the endpoint has them: who keeps one keeps it from being closed.
  private var sockets: [ListeningSocket]
  private let ended: LoopCounter
  private var thread = pthread_t()

  init(_ served: ServedLoop, sockets: [ListeningSocket], ended: LoopCounter) {
    self.served = served
    self.sockets = sockets
    self.ended = ended
  }

  /// - Throws: that the system gives no thread.
  func start() throws(OperatingFailure) {
    let context = Unmanaged.passUnretained(self).toOpaque()
    let code = pthread_create(&thread, nil, threadBegins, context)
    guard code == 0 else {
      throw OperatingFailure("cannot start a thread: \(String(cString: strerror(code)))")
    }
  }

  /// Waits for its end.
  func join() {
    pthread_join(thread, nil)
  }

  fileprivate func run() {
    served.stopped = { [served] in served.loop.stop() }
    served.start(on: sockets)
    sockets = []
    served.loop.run()
    ended.add()
  }
}

private func threadBegins(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let context { Unmanaged<LoopThread>.fromOpaque(context).takeUnretainedValue().run() }
  return nil
}
