import CLibEv

/// A libev loop: one that Millstream owns, or one that a host already runs.
///
/// Everything that belongs to one loop is used from the thread that runs it, and from no other.
public final class EventLoop {
  /// The `struct ev_loop *`.
  public let raw: OpaquePointer

  private let isOwned: Bool

  /// Makes a loop of its own, on the kernel's best backend (epoll on Linux).
  ///
  /// - Throws: `EventLoopError.noBackend` if libev finds none, as when descriptors have run out.
  public init() throws(EventLoopError) {
    guard let loop = ev_loop_new(UInt32(EVFLAG_NOENV)) else { throw .noBackend }
    raw = loop
    isOwned = true
  }

  /// Works on a loop that the host made, runs and destroys; it has to outlive this object.
  public init(borrowing loop: OpaquePointer) {
    raw = loop
    isOwned = false
  }

  deinit {
    if isOwned { ev_loop_destroy(raw) }
  }

  /// Runs until `stop()` is called or no watcher is left.
  public func run() {
    ev_run(raw, 0)
  }

  /// Handles what is ready now, without waiting. Tests and hosts with a loop of another kind use it.
  public func runOnce() {
    ev_run(raw, Int32(EVRUN_NOWAIT))
  }

  /// Makes the innermost `run()` return after the current iteration.
  public func stop() {
    ev_break(raw, Int32(EVBREAK_ONE))
  }
}

/// Why a loop could not be made.
public enum EventLoopError: Error {
  /// libev could start none of its backends; most often the descriptors have run out.
  case noBackend
}
