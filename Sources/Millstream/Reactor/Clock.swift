import Glibc

/// Where the time comes from. Leave ``system``, unless a test needs one that stands still until it is moved.
public struct Clock {
  private let readMonotonicMs: () -> Int64
  private let readUnixSeconds: () -> Int64
  private let readMonotonicUs: () -> Int64

  /// The kernel's clocks.
  public static var system: Clock {
    Clock(
      monotonicMs: { milliseconds(of: CLOCK_MONOTONIC) },
      monotonicUs: { microseconds(of: CLOCK_MONOTONIC) },
      unixSeconds: { milliseconds(of: CLOCK_REALTIME) / 1000 })
  }

  /// A clock made of two functions; see the properties for what each has to give.
  public init(monotonicMs: @escaping () -> Int64, unixSeconds: @escaping () -> Int64) {
    self.init(
      monotonicMs: monotonicMs, monotonicUs: { monotonicMs() * 1000 }, unixSeconds: unixSeconds)
  }

  private init(
    monotonicMs: @escaping () -> Int64, monotonicUs: @escaping () -> Int64,
    unixSeconds: @escaping () -> Int64
  ) {
    readMonotonicMs = monotonicMs
    readMonotonicUs = monotonicUs
    readUnixSeconds = unixSeconds
  }

  /// Milliseconds since some fixed moment; never goes back. Deadlines count in it.
  public var monotonicMs: Int64 { readMonotonicMs() }

  /// The same in microseconds, for what is measured.
  var monotonicUs: Int64 { readMonotonicUs() }

  /// Seconds since 1970, UTC: what people and signatures count in.
  public var unixSeconds: Int64 { readUnixSeconds() }

  private static func milliseconds(of clock: clockid_t) -> Int64 {
    microseconds(of: clock) / 1000
  }

  private static func microseconds(of clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }
}
