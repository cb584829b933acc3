import Glibc

/// What the kernel does for the sockets of clients. Set on a listening socket, Linux hands it down to
/// every connection that is accepted there, so that it costs no system call for each.
///
/// All but the buffering fails on Unix sockets, where nobody can go without the kernel knowing.
struct ClientSocketOptions {
  /// The write deadline of the instance.
  var writeDeadlineMs: Int64

  /// How much longer than the write deadline the kernel waits: the deadline names the better reason.
  private static let marginMs: Int64 = 2_000
  /// How much that was not sent to the client yet the kernel takes. A client that reads nothing costs
  /// that, and not the megabytes up to which Linux lets a send buffer grow. What is on its way does
  /// not count, so it slows no fast client down.
  private static let unsentBytes: Int32 = 64 * 1024

  func apply(to descriptor: Int32) {
    // Frames are small and must not wait for each other.
    set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1)
    set(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, ClientSocketOptions.unsentBytes)
    // For bytes on their way, which a heartbeat always makes some of: so long unacknowledged, or so
    // long without room at the other side, and the connection is over. Without it the kernel sends
    // again for a quarter of an hour.
    let limitMs = writeDeadlineMs + ClientSocketOptions.marginMs
    set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, Int32(clamping: limitMs))
    // For when nothing is on its way: a request that never comes, or heartbeats that are hours apart.
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, 30)
    set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, 5)
    set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3)
  }

  private func set(_ descriptor: Int32, _ level: some BinaryInteger, _ name: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, Int32(level), name, &value, socklen_t(MemoryLayout<Int32>.size))
  }
}
