import Glibc
import Millstream

/// What the kernel says of this process. None of it waits for anything.
struct ProcessFacts {
  /// When it was started, in seconds since 1970; about.
  let startSeconds = Clock.system.unixSeconds
  let descriptorLimit = DescriptorLimit.raise()
  /// Descriptors that are not clients', for kernels that do not count.
  private let otherDescriptors: Int

  /// `loops` will have two sessions each.
  init(loops: Int) {
    otherDescriptors = ProcessFacts.listedDescriptors() + 2 * loops
  }

  var residentBytes: Int? {
    ProcessFacts.firstLine(of: "/proc/self/statm").flatMap { line in
      let fields = line.split(separator: " ")
      return fields.count > 1 ? Int(fields[1]).map { $0 * sysconf(Int32(_SC_PAGESIZE)) } : nil
    }
  }

  var processorSeconds: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return [usage.ru_utime, usage.ru_stime].reduce(0) {
      $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6
    }
  }

  /// Since Linux 6.2 the size of the directory is their number. To list them would take milliseconds where
  /// there are many, so before that it is what there was at the start and the clients.
  func openDescriptors(clients: Int) -> Int {
    var status = stat()
    let isCounted = stat("/proc/self/fd", &status) == 0 && status.st_size > 0
    return isCounted ? Int(status.st_size) : otherDescriptors + clients
  }

  /// For the start only.
  private static func listedDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    // Two of them are `.` and `..`, one is the directory.
    return count - 3
  }

  private static func firstLine(of path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = read(descriptor, &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }
}
