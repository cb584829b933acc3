import Glibc

/// Finds the addresses of host names without stopping the loop.
///
/// `getaddrinfo` can take many seconds and has no nonblocking form, so it runs on a thread that
/// shares nothing with the loop but a socket pair: it writes the addresses as text and closes its
/// end. If the loop has lost interest by then, the write fails and that is all.
final class HostResolver {
  private let watcher: IOWatcher
  private let descriptor: Int32
  private var answer: [UInt8] = []
  private let resolved: ([[String]]) -> Void

  /// Looks up `hosts`; `resolved` gets a list of addresses for each, empty where there is none.
  /// Nil if no thread or descriptor is to be had.
  init?(loop: EventLoop, hosts: [String], resolved: @escaping ([[String]]) -> Void) {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return nil }
    descriptor = ends[0]
    self.resolved = resolved
    weak var weakSelf: HostResolver?
    watcher = IOWatcher(loop: loop) { _ in weakSelf?.read() }
    weakSelf = self
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    watcher.watch(descriptor, for: .readable)
    guard HostResolver.startThread(hosts: hosts, output: ends[1]) else {
      close(ends[1])
      return nil
    }
  }

  deinit {
    watcher.stop()
    close(descriptor)
  }

  private func read() {
    let count = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
      let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
      if count > 0 { answer.append(contentsOf: buffer[..<count]) }
      return count
    }
    if count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)) { return }
    watcher.stop()
    resolved(parseAnswer())
  }

  /// One line for each host, its addresses with commas between them.
  private func parseAnswer() -> [[String]] {
    String(decoding: answer, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      .map { $0.split(separator: ",").map(String.init) }
  }

  private final class Job {
    let hosts: [String]
    let output: Int32

    init(hosts: [String], output: Int32) {
      self.hosts = hosts
      self.output = output
    }

    func run() {
      for host in hosts {
        let line = Array((addresses(of: host).joined(separator: ",") + "\n").utf8)
        _ = send(output, line, line.count, Int32(MSG_NOSIGNAL))
      }
      close(output)
    }

    private func addresses(of host: String) -> [String] {
      var hints = addrinfo()
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
      var list: UnsafeMutablePointer<addrinfo>?
      guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
      defer { freeaddrinfo(list) }
      var found: [String] = []
      var entry = list
      while let address = entry {
        if let text = numericHost(of: address.pointee) { found.append(text) }
        entry = address.pointee.ai_next
      }
      return found
    }

    private func numericHost(of address: addrinfo) -> String? {
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      let code = getnameinfo(
        address.ai_addr, address.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
      guard code == 0 else { return nil }
      return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }

  private static func startThread(hosts: [String], output: Int32) -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    defer { pthread_attr_destroy(&attributes) }
    let job = Unmanaged.passRetained(Job(hosts: hosts, output: output))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { argument in
        Unmanaged<Job>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, job.toOpaque())
    if code != 0 { job.release() }
    return code == 0
  }
}
