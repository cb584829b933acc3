import Glibc

/// Whoever started the process and wants to hear how it is, as systemd does: sd_notify(3).
final class ServiceManager {
  private let descriptor: Int32
  private let address: sockaddr_un
  private let length: socklen_t

  /// What it waits for each word at most; only a manager that does not read makes us wait at all.
  private static let patienceMs = 100

  /// Nil: nobody wants to hear. The variable is for this process alone.
  init?() {
    defer { unsetenv("NOTIFY_SOCKET") }
    guard let name = getenv("NOTIFY_SOCKET").map({ Array(String(cString: $0).utf8) }),
      let first = name.first, [UInt8(ascii: "/"), UInt8(ascii: "@")].contains(first),
      name.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
    else { return nil }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { path in
      path.copyBytes(from: name)
      // An abstract address: in no file system, and written so.
      if first == UInt8(ascii: "@") { path[0] = 0 }
    }
    self.address = address
    length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + name.count)
    descriptor = socket(
      AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var patience = timeval(tv_sec: 0, tv_usec: ServiceManager.patienceMs * 1000)
    setsockopt(
      descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit {
    close(descriptor)
  }

  /// It listens; `status` is for people.
  func ready(_ status: String) { tell("READY=1\nSTATUS=\(status)") }

  /// It reads its configuration again, until `ready`.
  func reloading() {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    tell("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)")
  }

  /// It ends, within so long.
  func stopping(_ status: String, withinMs: Int64) {
    tell("STOPPING=1\nSTATUS=\(status)\nEXTEND_TIMEOUT_USEC=\(withinMs * 1000)")
  }

  /// All is well.
  func alive() { tell("WATCHDOG=1") }

  private func tell(_ text: String) {
    var address = address
    _ = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL), $0, length)
      }
    }
  }

  /// How often it wants to hear that all is well; nil: it does not.
  static var watchdogMs: Int64? {
    let pid = getenv("WATCHDOG_PID").flatMap { pid_t(String(cString: $0)) }
    guard pid == nil || pid == getpid(),
      let usec = getenv("WATCHDOG_USEC").flatMap({ Int64(String(cString: $0)) }), usec >= 1000
    else { return nil }
    return usec / 1000
  }
}
