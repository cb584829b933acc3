import Glibc

/// A TCP connection that waits for every byte: a client that does nothing else meanwhile.
final class ClientSocket {
  private let descriptor: Int32

  /// Why there is no connection, or none any more.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Connects to the first address that takes the connection, each within `timeoutMs`.
  init(host: String, port: String, timeoutMs: Int64) throws(Failure) {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, port, &hints, &list)
    guard code == 0 else {
      throw Failure(description: "cannot resolve \(host): \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(list) }
    var reason = "it has no address"
    var next = list
    while let address = next {
      let descriptor = ClientSocket.connected(to: address.pointee, timeoutMs: timeoutMs)
      if descriptor >= 0 {
        self.descriptor = descriptor
        return
      }
      // A connect that is cut off by the time limit ends with EINPROGRESS.
      reason = errno == EINPROGRESS ? "timed out" : String(cString: strerror(errno))
      next = address.pointee.ai_next
    }
    throw Failure(description: "cannot connect to \(host):\(port): \(reason)")
  }

  deinit {
    close(descriptor)
  }

  /// A descriptor, or -1 and the reason in `errno`.
  private static func connected(to address: addrinfo, timeoutMs: Int64) -> Int32 {
    let descriptor = socket(
      address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), address.ai_protocol)
    guard descriptor >= 0 else { return -1 }
    limit(SO_SNDTIMEO, of: descriptor, ms: timeoutMs)
    limit(SO_RCVTIMEO, of: descriptor, ms: timeoutMs)
    var isOn: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &isOn, socklen_t(MemoryLayout<Int32>.size))
    if connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return descriptor }
    let reason = errno
    close(descriptor)
    errno = reason
    return -1
  }

  private static func limit(_ option: Int32, of descriptor: Int32, ms: Int64) {
    var limit = timeval(tv_sec: Int(ms / 1000), tv_usec: Int(ms % 1000) * 1000)
    setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Waits no longer than that for anything to be read; 0: for ever.
  func limitReads(toMs ms: Int64) {
    ClientSocket.limit(SO_RCVTIMEO, of: descriptor, ms: ms)
  }

  func write(_ bytes: [UInt8]) throws(Failure) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno != EINTR { throw ClientSocket.lost() }
      rest = rest.dropFirst(max(count, 0))
    }
  }

  /// What has come; empty at the end.
  func read() throws(Failure) -> ArraySlice<UInt8> {
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count >= 0 { return buffer[..<count] }
      if errno != EINTR { throw ClientSocket.lost() }
    }
  }

  private static func lost() -> Failure {
    let isLate = errno == EAGAIN || errno == EINPROGRESS
    return Failure(
      description: isLate ? "the server does not answer" : String(cString: strerror(errno)))
  }
}
