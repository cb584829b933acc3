import Glibc

/// What the kernel does for the sockets of clients. Set on a listening socket, Linux hands it down to
/// every connection that is accepted there, so that it costs no system call for each.
///
/// All but the buffering fails on Unix sockets, where nobody can go without the kernel knowing.
struct ClientSocketOptions {
  /// How long the kernel waits for the other side to acknowledge anything, or to make room.
  let userTimeoutMs: Int64

  /// How much that was not sent to the client yet the kernel takes. A client that reads nothing costs
  /// that, and not the megabytes up to which Linux lets a send buffer grow. What is on its way does
  /// not count, so it slows no fast client down.
  private static let unsentBytes: Int32 = 64 * 1024

  /// Longer than the write deadline, which names the better reason, by one heartbeat: whoever is cut
  /// off for a moment shall not be given up, for it would not hear of it, and wait for ever. A client
  /// that has missed two heartbeats knows by itself.
  init(writeDeadlineMs: Int64, heartbeatMs: Int64) {
    userTimeoutMs = writeDeadlineMs + min(heartbeatMs, 30_000)
  }

  func apply(to descriptor: Int32) {
    // Frames are small and must not wait for each other.
    set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1)
    set(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, ClientSocketOptions.unsentBytes)
    // For bytes on their way, and every heartbeat sends some: so long unacknowledged, and the
    // connection is over. Without it the kernel sends them again for a quarter of an hour.
    set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, Int32(clamping: userTimeoutMs))
    // For when nothing is on its way, because the heartbeats are minutes apart.
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, 30)
    set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, 5)
    set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3)
  }

  private func set(_ descriptor: Int32, _ level: some BinaryInteger, _ name: Int32, _ value: Int32)
  {
    var value = value
    setsockopt(descriptor, Int32(level), name, &value, socklen_t(MemoryLayout<Int32>.size))
  }
}
