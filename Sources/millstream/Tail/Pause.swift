import Glibc

/// Does nothing for a while.
enum Pause {
  static func wait(ms: Int64) {
    var left = timespec(tv_sec: Int(ms / 1000), tv_nsec: Int(ms % 1000) * 1_000_000)
    var rest = timespec()
    while nanosleep(&left, &rest) != 0 && errno == EINTR { left = rest }
  }
}
