import Glibc

/// Where an endpoint listens: `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (every address) or `unix:PATH`. With
/// port 0 the kernel chooses one.
public struct ListenAddress: Sendable, CustomStringConvertible {
  private enum Kind: Sendable {
    case tcp(host: String, port: String)
    case unix(path: String)
  }

  private let kind: Kind
  /// The text it was made of.
  public let description: String

  /// The address that is written so.
  ///
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

  /// Opens a nonblocking listening socket for each of `loops`, among which the kernel shares the
  /// connections out. It may look a name up, so it is for the start only. `isShared`: other processes may
  /// listen there, too, if they were started with the same.
  ///
  /// - Throws: why the address cannot be had.
  public func listen(
    loops: Int = 1, isShared: Bool = false
  ) throws(ConfigurationError) -> [ListeningSocket] {
    switch kind {
    case .tcp(let host, let port): return try listenTCP(host, port, loops, isShared)
    case .unix(let path): return try listenUnix(path, loops)
    }
  }

  private func listenTCP(
    _ host: String, _ port: String, _ loops: Int, _ isShared: Bool
  ) throws(ConfigurationError) -> [ListeningSocket] {
    var hints = addrinfo()
    hints.ai_flags = AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host.isEmpty ? nil : host, port, &hints, &found)
    guard code == 0, let address = found?.pointee else {
      throw ConfigurationError(
        "cannot listen on \(description): \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(found) }
    do {
      return try ListeningSocket.open(
        SocketAddress(address.ai_addr, length: address.ai_addrlen), count: loops,
        isShared: isShared)
    } catch {
      throw ConfigurationError("cannot listen on \(description): \(error)")
    }
  }

  private func listenUnix(
    _ path: String, _ loops: Int
  ) throws(ConfigurationError) -> [ListeningSocket] {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let name = withUnsafeBytes(of: &address) { bytes in
      SocketAddress(
        bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self),
        length: socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    do {
      return try ListeningSocket.open(name, path: path, count: loops)
    } catch {
      throw ConfigurationError("cannot listen on \(description): \(error)")
    }
  }
}
