import Glibc
import Millstream
import Synchronization

/// A thread that runs a loop, and what other threads want done there.
final class HostThread: @unchecked Sendable {
  /// Goes from one thread to the other, and is run once.
  private struct Work: @unchecked Sendable {
    let body: () -> Void
  }

  private struct State {
    var work: [Work] = []
    var id: pthread_t?
    var isOver = false
    var isJoined = false
  }

  private let state = Mutex(State())
  private var body: () -> Void = {}
  private lazy var waking = AsyncWatcher(loop: loop) { [unowned self] in doPosted() }
  private let loop: EventLoop

  init(loop: EventLoop) {
    self.loop = loop
    _ = waking
  }

  /// Whether the caller runs on it.
  var isCurrent: Bool {
    state.withLock { state in state.id.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
  }

  /// Whether it ever ran.
  var isStarted: Bool { state.withLock { $0.id != nil } }

  /// Runs `body` on it; false: the system gives no thread, errno says why.
  func start(_ body: @escaping () -> Void) -> Bool {
    self.body = body
    return state.withLock { state in
      var id = pthread_t()
      // Signals are for the host's threads.
      var all = sigset_t()
      var before = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_SETMASK, &all, &before)
      let code = pthread_create(&id, nil, threadBegins, Unmanaged.passRetained(self).toOpaque())
      pthread_sigmask(SIG_SETMASK, &before, nil)
      if code == 0 { state.id = id } else { Unmanaged.passUnretained(self).release() }
      errno = code
      return code == 0
    }
  }

  /// Has `work` done on the thread, in the order of the calls. After its end nothing else is done any
  /// more, and the caller can do it.
  func post(_ work: @escaping () -> Void) {
    let posted = Work(body: work)
    let isPosted = state.withLock { state in
      if state.isOver { return false }
      state.work.append(posted)
      return true
    }
    if isPosted { waking.wake() } else { work() }
  }

  private func doPosted() {
    let posted = state.withLock { state in
      defer { state.work = [] }
      return state.work
    }
    for work in posted { work.body() }
  }

  fileprivate func run() {
    body()
    body = {}
    while !isOver() { doPosted() }
  }

  private func isOver() -> Bool {
    state.withLock { state in
      state.isOver = state.work.isEmpty
      return state.isOver
    }
  }

  /// Waits for its end; later calls return at once.
  func join() {
    let id = state.withLock { state -> pthread_t? in
      defer { state.isJoined = true }
      return state.isJoined ? nil : state.id
    }
    if let id { pthread_join(id, nil) }
  }

  /// Nobody waits for its end.
  func detach() {
    let id = state.withLock { state -> pthread_t? in
      defer { state.isJoined = true }
      return state.isJoined ? nil : state.id
    }
    if let id { pthread_detach(id) }
  }
}

private func threadBegins(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let context { Unmanaged<HostThread>.fromOpaque(context).takeRetainedValue().run() }
  return nil
}
