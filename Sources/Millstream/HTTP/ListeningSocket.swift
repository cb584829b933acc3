import CSystem
import Glibc

/// A socket that takes connections. It is closed, and its path removed, when this object goes.
public final class ListeningSocket {
  let descriptor: Int32
  /// Where it listens; with port 0, the port that the kernel chose.
  public private(set) var address = ""
  /// Whether somebody else has opened it, and keeps it open when this process is gone.
  let isInherited: Bool
  private var path: String?

  private static let backlog: Int32 = 4096

  private init(descriptor: Int32, isInherited: Bool = false) throws(SystemError) {
    guard descriptor >= 0 else { throw SystemError() }
    self.descriptor = descriptor
    self.isInherited = isInherited
  }

  deinit {
    close(descriptor)
    if let path { unlink(path) }
  }

  /// `count` sockets on one TCP address, among which the kernel shares the connections out.
  /// `isShared`: other processes may have it, too.
  static func open(
    _ address: SocketAddress, count: Int, isShared: Bool
  ) throws(SystemError) -> [ListeningSocket] {
    let first = try ListeningSocket(family: address.family)
    if isShared { first.set(SO_REUSEPORT) }
    try first.bind(address)
    var sockets = [first]
    // Else the first has had the address for itself: from here on others of ours may have it, too.
    if count > 1 { first.set(SO_REUSEPORT) }
    let bound = first.boundAddress()
    for _ in 1..<count {
      let another = try ListeningSocket(family: address.family)
      another.set(SO_REUSEPORT)
      try another.bind(bound)
      sockets.append(another)
    }
    for socket in sockets {
      try socket.listen()
      socket.address = bound.text
    }
    return sockets
  }

  /// One socket on a path, and as many copies of it as make `count`.
  static func open(
    _ address: SocketAddress, path: String, count: Int
  ) throws(SystemError) -> [ListeningSocket] {
    address.removeStaleSocket(path)
    let first = try ListeningSocket(family: AF_UNIX)
    try first.bind(address)
    first.path = path
    try first.listen()
    first.address = "unix:\(path)"
    return try first.withCopies(count)
  }

  /// A socket that whoever started this process has opened, bound and set to listen, and as many copies of
  /// it as make `count`.
  ///
  /// - Throws: that it is none.
  package static func inherited(
    _ descriptor: Int32, count: Int = 1
  ) throws(ConfigurationError) -> [ListeningSocket] {
    guard ms_is_listening(descriptor), ms_make_nonblocking(descriptor) else {
      throw ConfigurationError("descriptor \(descriptor) is no listening stream socket")
    }
    do {
      let socket = try ListeningSocket(descriptor: descriptor, isInherited: true)
      socket.address = socket.boundAddress().text
      return try socket.withCopies(count)
    } catch {
      throw ConfigurationError("descriptor \(descriptor): \(error)")
    }
  }

  private func withCopies(_ count: Int) throws(SystemError) -> [ListeningSocket] {
    var sockets = [self]
    for _ in 1..<count {
      let copy = try ListeningSocket(
        descriptor: fcntl(descriptor, F_DUPFD_CLOEXEC, 0), isInherited: isInherited)
      copy.address = address
      sockets.append(copy)
    }
    return sockets
  }

  private convenience init(family: Int32) throws(SystemError) {
    let flags = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    try self.init(descriptor: socket(family, flags, 0))
    if family != AF_UNIX { set(SO_REUSEADDR) }
  }

  private func set(_ option: Int32) {
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, option, &yes, socklen_t(MemoryLayout<Int32>.size))
  }

  private func bind(_ address: SocketAddress) throws(SystemError) {
    guard address.withName({ Glibc.bind(descriptor, $0, $1) }) == 0 else { throw SystemError() }
  }

  private func listen() throws(SystemError) {
    guard Glibc.listen(descriptor, ListeningSocket.backlog) == 0 else { throw SystemError() }
  }

  private func boundAddress() -> SocketAddress {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutableBytes(of: &storage) { bytes in
      let name = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
      getsockname(descriptor, name, &length)
      return SocketAddress(name, length: length)
    }
  }
}

/// What the last system call of this thread said.
struct SystemError: Error, CustomStringConvertible {
  let code = errno

  var description: String { String(cString: strerror(code)) }
}
