import Glibc

/// What is behind the handles that C holds: a handle is a number and no address, so that one that was
/// freed, or never was one, is found out instead of followed. Can be used on any thread.
final class HandleTable<Object: AnyObject>: @unchecked Sendable {
  private struct State {
    var lock = pthread_mutex_t()
    var objects: [UInt: Object] = [:]
    var next: UInt = 16
    /// Handles below this are those of the process that this one was forked from.
    var firstOwn: UInt = 16
  }

  private var state = UnsafeMutablePointer<State>.allocate(capacity: 1)

  init() {
    state.initialize(to: State())
    pthread_mutex_init(&state.pointee.lock, nil)
  }

  /// In a child: the lock may be held by a thread that is not there, and what is in the table is the
  /// parent's. It is left alone for good.
  func forget() {
    let next = state.pointee.next
    state = .allocate(capacity: 1)
    state.initialize(to: State(next: next, firstOwn: next))
    pthread_mutex_init(&state.pointee.lock, nil)
  }

  private func withLock<Result>(_ body: (inout State) -> Result) -> Result {
    pthread_mutex_lock(&state.pointee.lock)
    defer { pthread_mutex_unlock(&state.pointee.lock) }
    return body(&state.pointee)
  }

  /// A handle for `object`, which it keeps.
  func add(_ object: Object) -> OpaquePointer {
    withLock { state in
      let handle = state.next
      state.next += 16
      state.objects[handle] = object
      return OpaquePointer(bitPattern: handle)!
    }
  }

  subscript(_ handle: OpaquePointer?) -> Object? {
    withLock { $0.objects[UInt(bitPattern: handle)] }
  }

  /// Whether it is a handle of the process that this one was forked from.
  func isInherited(_ handle: OpaquePointer?) -> Bool {
    handle != nil && withLock { UInt(bitPattern: handle) < $0.firstOwn }
  }

  /// The object, which goes when the caller lets go of it; the handle is no longer one.
  func remove(_ handle: OpaquePointer?) -> Object? {
    withLock { $0.objects.removeValue(forKey: UInt(bitPattern: handle)) }
  }

  /// Nobody holds the handles of these any more.
  func removeAll(where isOver: (Object) -> Bool) {
    let gone = withLock { state in
      let gone = state.objects.filter { isOver($0.value) }
      for handle in gone.keys { state.objects[handle] = nil }
      return gone
    }
    // What goes may call back: not under the lock.
    withExtendedLifetime(gone) {}
  }
}

/// All instances of the process, all requests that wait for an answer, and all questions to stores.
let hosts = HandleTable<Host>()
let authorizations = HandleTable<HostAuthorization>()
let questions = HandleTable<HostQuestion>()

/// From now on a child of this process knows that nothing in the tables is its own.
let watchForks: Void = {
  _ = (hosts, authorizations, questions)
  pthread_atfork(nil, nil) {
    hosts.forget()
    authorizations.forget()
    questions.forget()
  }
}()
