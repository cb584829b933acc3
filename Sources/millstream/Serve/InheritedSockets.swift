import Glibc
import Millstream

/// Descriptors of listening sockets that whoever started the process has opened for it, as systemd does:
/// sd_listen_fds(3). They go on to exist when this process ends.
struct InheritedSockets {
  /// Those that clients come to.
  private(set) var clients: [Int32] = []
  /// The one that is named `admin`.
  private(set) var admin: Int32?

  private static let first: Int32 = 3

  /// What the environment tells of. Once only: children shall not take it to be for them.
  static func take() -> InheritedSockets {
    defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) } }
    var sockets = InheritedSockets()
    guard variable("LISTEN_PID").flatMap({ pid_t($0) }) == getpid(),
      let count = variable("LISTEN_FDS").flatMap({ Int32($0) }), (1...4096).contains(count)
    else { return sockets }
    let names = (variable("LISTEN_FDNAMES") ?? "").split(
      separator: ":", omittingEmptySubsequences: false)
    for number in 0..<count {
      let isAdmin = names.indices.contains(Int(number)) && names[Int(number)] == "admin"
      if isAdmin && sockets.admin == nil {
        sockets.admin = first + number
      } else {
        sockets.clients.append(first + number)
      }
    }
    return sockets
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}
