import Glibc

/// Where the time comes from. Leave ``system``, unless a test needs one that stands still until it is moved.
public struct Clock {
  private let readMonotonicMs: () -> Int64
  private let readUnixSeconds: () -> Int64

  /// The kernel's clocks.
  public static var system: Clock {
    Clock(
      monotonicMs: { milliseconds(of: CLOCK_MONOTONIC) },
      unixSeconds: { milliseconds(of: CLOCK_REALTIME) / 1000 })
  }

  /// A clock made of two functions; see the properties for what each has to give.
  public init(monotonicMs: @escaping () -> Int64, unixSeconds: @escaping () -> Int64) {
    readMonotonicMs = monotonicMs
    readUnixSeconds = unixSeconds
  }

  /// Milliseconds since some fixed moment; never goes back. Deadlines count in it.
  public var monotonicMs: Int64 { readMonotonicMs() }

  /// Seconds since 1970, UTC: what people and signatures count in.
  public var unixSeconds: Int64 { readUnixSeconds() }

  private static func milliseconds(of clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
