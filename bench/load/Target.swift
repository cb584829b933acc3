import Glibc

/// Where to connect, and the request for each stream, written once.
struct Target {
  /// In host byte order.
  let ip: UInt32
  let port: UInt16
  /// Connection n sends the request `n % requests.count`.
  let requests: [[UInt8]]
  /// Local addresses to connect from, in turn; empty: the kernel's choice.
  let sources: [UInt32]

  init(_ options: Options) throws(LoadError) {
    let (host, port, path) = try Target.split(options.url)
    guard let ip = Target.address(host) else {
      throw .usage("--url: '\(host)' is not a numeric IPv4 address")
    }
    self.ip = ip
    self.port = port
    let paths = try options.pathsFile.map(Target.lines) ?? Target.expand(path, options.streams)
    requests = paths.map { Target.request($0, host: "\(host):\(port)", options) }
    let isLoopback = ip >> 24 == 127
    sources = isLoopback ? (0..<options.sources).map { 0x7F00_0001 + UInt32($0) } : []
  }

  /// `http://HOST:PORT/PATH` in its three parts.
  private static func split(_ url: String) throws(LoadError) -> (String, UInt16, String) {
    guard url.hasPrefix("http://") else { throw .usage("--url has to begin with http://") }
    let rest = url.dropFirst("http://".count)
    let path = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
    let authority = rest.prefix { $0 != "/" }.split(separator: ":", maxSplits: 1)
    guard let host = authority.first else { throw .usage("--url names no host") }
    guard authority.count == 1 || UInt16(authority[1]) != nil else {
      throw .usage("--url: '\(authority[1])' is not a port")
    }
    return (String(host), authority.count == 1 ? 80 : UInt16(authority[1]) ?? 0, String(path))
  }

  private static func address(_ host: String) -> UInt32? {
    var address = in_addr()
    guard inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &address) == 1 else {
      return nil
    }
    return UInt32(bigEndian: address.s_addr)
  }

  /// The path with its `%d` replaced by 0, 1, … below `count`.
  private static func expand(_ path: String, _ count: Int) -> [String] {
    let parts = path.split(separator: "%d", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { return [path] }
    return (0..<count).map { "\(parts[0])\($0)\(parts[1])" }
  }

  private static func lines(ofFile name: String) throws(LoadError) -> [String] {
    guard let file = fopen(name, "r") else { throw .system("--paths \(name)", errno) }
    defer { fclose(file) }
    var lines: [String] = []
    var line: UnsafeMutablePointer<CChar>?
    var size = 0
    defer { free(line) }
    while getline(&line, &size, file) > 0, let line {
      let text = String(cString: line).prefix { !$0.isNewline }
      if !text.isEmpty { lines.append(String(text)) }
    }
    guard !lines.isEmpty else { throw .usage("--paths: '\(name)' names no path") }
    return lines
  }

  private static func request(_ path: String, host: String, _ options: Options) -> [UInt8] {
    var path = path
    var cursor = ""
    if let since = options.since {
      if options.cursorInHeader {
        cursor = "Last-Event-ID: \(since)\r\n"
      } else {
        path += (path.contains("?") ? "&" : "?") + "since=\(since)"
      }
    }
    let text =
      "GET \(path) HTTP/\(options.httpVersion)\r\nHost: \(host)\r\n"
      + "Accept: text/event-stream\r\n\(cursor)\r\n"
    return Array(text.utf8)
  }
}
