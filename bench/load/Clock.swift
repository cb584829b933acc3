import Glibc

/// Time in nanoseconds. Everything here counts on CLOCK_REALTIME, because that is what the kernel
/// stamps arrivals with and what Postgres' `clock_timestamp()` says.
enum Clock {
  static func nowNs() -> Int64 {
    read(CLOCK_REALTIME)
  }

  /// What has to be added to a time on CLOCK_MONOTONIC, now.
  static func monotonicOffsetNs() -> Int64 {
    read(CLOCK_REALTIME) - read(CLOCK_MONOTONIC)
  }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// What this process has taken of the processor, in microseconds, and of memory.
struct ProcessUse {
  var userUs: Int64
  var systemUs: Int64
  var residentKib: Int

  static func now() -> ProcessUse {
    var use = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &use)
    return ProcessUse(
      userUs: microseconds(use.ru_utime), systemUs: microseconds(use.ru_stime),
      residentKib: residentKib())
  }

  /// Not `ru_maxrss`: that begins with what the parent had when it forked.
  private static func residentKib() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [UInt8](repeating: 0, count: 128)
    let count = fread(&line, 1, line.count, file)
    let numbers = String(decoding: line.prefix(count), as: UTF8.self).split(separator: " ")
    let pages = numbers.count > 1 ? Int(numbers[1]) ?? 0 : 0
    return pages * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
  }

  private static func microseconds(_ time: timeval) -> Int64 {
    Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_usec)
  }
}
