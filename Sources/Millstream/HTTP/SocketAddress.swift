import Glibc

/// An address as the kernel wants it.
struct SocketAddress {
  private var storage = sockaddr_storage()
  private let length: socklen_t

  /// Copies `length` bytes of `name`.
  init(_ name: UnsafePointer<sockaddr>, length: socklen_t) {
    self.length = length
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: name, count: Int(length)))
    }
  }

  /// That of the other side; nil: it has none, as on a Unix socket, or is gone.
  init?(peerOf descriptor: Int32) {
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let outcome = withUnsafeMutableBytes(of: &storage) {
      getpeername(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    guard outcome == 0 else { return nil }
    self.length = length
    guard family == AF_INET || family == AF_INET6 else { return nil }
  }

  var family: Int32 { Int32(storage.ss_family) }

  func withName<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafeBytes(of: storage) {
      body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
    }
  }

  /// `HOST:PORT`, in numbers, or `unix:PATH`.
  var text: String {
    if family == AF_UNIX { return "unix:\(path)" }
    let (name, port) = parts
    return name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)"
  }

  /// One that begins with a NUL is in no file system.
  private var path: String {
    let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
    let bytes = withUnsafeBytes(of: storage) { Array($0[offset..<max(Int(length), offset)]) }
    if bytes.first == 0 { return "@" + String(decoding: bytes.dropFirst(), as: UTF8.self) }
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  private var parts: (host: String, port: String) {
    var host = [CChar](repeating: 0, count: 64)
    var port = [CChar](repeating: 0, count: 16)
    _ = withName {
      getnameinfo(
        $0, $1, &host, socklen_t(host.count), &port, socklen_t(port.count),
        NI_NUMERICHOST | NI_NUMERICSERV)
    }
    return (SocketAddress.text(host), SocketAddress.text(port))
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// A socket that nobody answers on was left by a server that died.
  func removeStaleSocket(_ path: String) {
    let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(probe) }
    let outcome = withName { connect(probe, $0, $1) }
    if outcome != 0 && errno == ECONNREFUSED { unlink(path) }
  }
}
