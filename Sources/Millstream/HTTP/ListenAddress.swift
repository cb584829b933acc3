import Glibc

/// Where the endpoint listens: `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (every address) or `unix:PATH`.
public struct ListenAddress: Sendable, CustomStringConvertible {
  private enum Kind: Sendable {
    case tcp(host: String, port: String)
    case unix(path: String)
  }

  private let kind: Kind
  /// The text it was made of.
  public let description: String

  /// - Throws: what is wrong with the text.
  public init(_ text: String) throws(ConfigurationError) {
    description = text
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst("unix:".count))
      guard !path.isEmpty, path.utf8.count < 108 else {
        throw ConfigurationError("'\(text)' needs a path of 1 to 107 bytes behind 'unix:'")
      }
      kind = .unix(path: path)
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { throw ConfigurationError("'\(text)' is not HOST:PORT, :PORT or unix:PATH") }
    let host = text[..<colon].drop { $0 == "[" }.prefix { $0 != "]" }
    kind = .tcp(host: String(host), port: String(port))
  }

  /// Opens a nonblocking listening socket. It may look a name up, so it is for the start only.
  ///
  /// - Throws: why the address cannot be had.
  func listen() throws(ConfigurationError) -> ListeningSocket {
    switch kind {
    case .tcp(let host, let port): return try listenTCP(host, port)
    case .unix(let path): return try listenUnix(path)
    }
  }

  private func listenTCP(
    _ host: String, _ port: String
  ) throws(ConfigurationError) -> ListeningSocket {
    var hints = addrinfo()
    hints.ai_flags = AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host.isEmpty ? nil : host, port, &hints, &found)
    guard code == 0, let address = found else {
      throw ConfigurationError(
        "cannot listen on \(description): \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(found) }
    let descriptor = try openSocket(address.pointee.ai_family)
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    try bindAndListen(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen)
    return ListeningSocket(descriptor: descriptor, address: boundAddress(of: descriptor), path: nil)
  }

  private func listenUnix(_ path: String) throws(ConfigurationError) -> ListeningSocket {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let descriptor = try openSocket(AF_UNIX)
    removeStaleSocket(path, &address)
    try withUnsafePointer(to: &address) { pointer throws(ConfigurationError) in
      let raw = UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
      try bindAndListen(descriptor, raw, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    return ListeningSocket(descriptor: descriptor, address: description, path: path)
  }

  /// A socket that nobody answers on was left by a server that died.
  private func removeStaleSocket(_ path: String, _ address: inout sockaddr_un) {
    let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(probe) }
    let outcome = withUnsafePointer(to: &address) {
      connect(
        probe, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    if outcome != 0 && errno == ECONNREFUSED { unlink(path) }
  }

  private func openSocket(_ family: Int32) throws(ConfigurationError) -> Int32 {
    let flags = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(family, flags, 0)
    guard descriptor >= 0 else { throw failure() }
    return descriptor
  }

  private func bindAndListen(
    _ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
  ) throws(ConfigurationError) {
    if bind(descriptor, address, length) == 0 && Glibc.listen(descriptor, 4096) == 0 { return }
    let failure = self.failure()
    close(descriptor)
    throw failure
  }

  private func failure() -> ConfigurationError {
    ConfigurationError("cannot listen on \(description): \(String(cString: strerror(errno)))")
  }

  /// The address as the kernel has it: with port 0, the port that it chose.
  private func boundAddress(of descriptor: Int32) -> String {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var host = [CChar](repeating: 0, count: 64)
    var port = [CChar](repeating: 0, count: 16)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      let raw = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
      getsockname(descriptor, raw, &length)
      return getnameinfo(
        raw, length, &host, socklen_t(host.count), &port, socklen_t(port.count),
        NI_NUMERICHOST | NI_NUMERICSERV)
    }
    guard code == 0 else { return description }
    let text = { (chars: [CChar]) in
      String(decoding: chars.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    return text(host).contains(":")
      ? "[\(text(host))]:\(text(port))" : "\(text(host)):\(text(port))"
  }
}

/// A socket that takes connections. It is closed, and its path removed, when this object goes.
final class ListeningSocket {
  let descriptor: Int32
  let address: String
  private let path: String?

  init(descriptor: Int32, address: String, path: String?) {
    self.descriptor = descriptor
    self.address = address
    self.path = path
  }

  deinit {
    close(descriptor)
    if let path { unlink(path) }
  }
}
