import CSystem
import Glibc

/// Accepts connections from listening sockets. Where there is no room for another, or no descriptor, it pauses:
/// trying again at once would only spin, and whoever comes waits in the kernel's backlog.
final class Acceptor {
  /// It does not accept until it is told to go on.
  private(set) var isPaused = false

  private let loop: EventLoop
  private let hasRoom: () -> Bool
  private let take: (Int32) -> Void
  private let lacksDescriptor: (_ code: Int32) -> Void
  private var listeners: [(socket: ListeningSocket, watcher: IOWatcher)] = []

  /// How many connections one listening socket gives before everything else has its turn.
  private static let acceptsInSlice = 32

  /// `take` gets the descriptors, nonblocking; `lacksDescriptor` hears of the `errno` for which it pauses.
  init(
    loop: EventLoop, hasRoom: @escaping () -> Bool = { true }, take: @escaping (Int32) -> Void,
    lacksDescriptor: @escaping (_ code: Int32) -> Void
  ) {
    self.loop = loop
    self.hasRoom = hasRoom
    self.take = take
    self.lacksDescriptor = lacksDescriptor
  }

  deinit { stop() }

  func add(_ socket: ListeningSocket) {
    let watcher = IOWatcher(loop: loop) { [unowned self] _ in accept(from: socket.descriptor) }
    if !isPaused { watcher.watch(socket.descriptor, for: .readable) }
    listeners.append((socket, watcher))
  }

  func resume() {
    guard isPaused else { return }
    isPaused = false
    for (socket, watcher) in listeners { watcher.watch(socket.descriptor, for: .readable) }
  }

  /// Accepts what the kernel has given to these sockets already, unless somebody else has them, too, and stops.
  func finish() {
    for (socket, _) in listeners where !socket.isInherited {
      while acceptOne(from: socket.descriptor) {}
    }
    stop()
  }

  /// Closes the sockets.
  func stop() {
    stopWatching()
    listeners = []
  }

  private func accept(from listener: Int32) {
    for _ in 0..<Acceptor.acceptsInSlice {
      guard hasRoom() else { return pause() }
      let descriptor = ms_accept(listener)
      if descriptor >= 0 {
        take(descriptor)
        continue
      }
      let code = errno
      if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) {
        pause()
        return lacksDescriptor(code)
      }
      if code == EAGAIN { return }
    }
  }

  /// False: there was none.
  private func acceptOne(from listener: Int32) -> Bool {
    let descriptor = ms_accept(listener)
    if descriptor >= 0 { take(descriptor) }
    return descriptor >= 0 || errno == ECONNABORTED || errno == EINTR
  }

  private func pause() {
    isPaused = true
    stopWatching()
  }

  private func stopWatching() {
    for (_, watcher) in listeners { watcher.stop() }
  }
}
