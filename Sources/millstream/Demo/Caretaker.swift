import Glibc

/// A shell that waits for the end of this program, in whatever way it comes (SIGKILL is one), stops
/// the Postgres of a directory if it still runs, and removes the directory.
///
/// It waits on a pipe whose other end only this program has: the kernel closes it in every case.
final class Caretaker {
  private let process: ChildProcess
  private let pipeEnd: Int32

  /// Postgres takes `postmaster.pid` away when it has ended in order. What was killed instead may
  /// leave children that write for a moment longer: the directory is removed until it is gone.
  private static let script = """
    read -r _
    if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null); then
      kill -INT "$pid"
      left=100
      while kill -0 "$pid" 2>/dev/null && [ $left -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
      kill -KILL "$pid"
    fi
    left=50
    until rm -rf "$1" || [ $left -eq 0 ]; do sleep 0.1; left=$((left - 1)); done
    """

  init(directory: String) throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      throw OperatingFailure("cannot make a pipe: \(String(cString: strerror(errno)))")
    }
    defer { close(ends[0]) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    pipeEnd = ends[1]
    process = try ChildProcess(
      ["sh", "-c", Caretaker.script, "sh", directory], directory: "/", input: ends[0],
      log: "/dev/null")
  }

  /// Has the directory removed; returns when it is.
  func finish() {
    close(pipeEnd)
    process.wait()
  }
}
