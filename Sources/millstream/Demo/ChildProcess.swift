import Glibc

/// A program that runs beside this one, in a process group of its own: a terminal's Ctrl-C, which
/// goes to a whole group, is for this program alone.
final class ChildProcess {
  let pid: pid_t
  private var status: Int32?

  /// - Parameters:
  ///   - arguments: the program, looked for in the PATH, and its arguments.
  ///   - directory: where it works.
  ///   - input: its standard input, borrowed; nil: nothing to read.
  ///   - log: the file that takes its output.
  init(_ arguments: [String], directory: String, input: Int32? = nil, log: String) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let input {
      posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    } else {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    }
    let flags = O_WRONLY | O_CREAT | O_APPEND
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, flags, 0o600)
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
    // The C library can change the directory too, but hides it from Swift.
    pid = try ChildProcess.spawn(["env", "--chdir", directory] + arguments, &actions)
  }

  private static func spawn(
    _ arguments: [String], _ actions: inout posix_spawn_file_actions_t
  ) throws -> pid_t {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // Signals that are held back here are not held back there.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    let texts = arguments.map { strdup($0) } + [nil]
    defer { texts.forEach { free($0) } }
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, arguments[0], &actions, &attributes, texts, environ)
    guard code == 0 else {
      throw OperatingFailure("cannot start \(arguments[0]): \(String(cString: strerror(code)))")
    }
    return pid
  }

  /// As `waitpid` gives it, 0 for success; nil while it runs.
  var exitStatus: Int32? {
    if status == nil { status = reap(WNOHANG) }
    return status
  }

  /// Returns when it has ended; its status, as `waitpid` gives it.
  @discardableResult
  func wait() -> Int32 {
    while status == nil { status = reap(0) }
    return status ?? 0
  }

  private func reap(_ options: Int32) -> Int32? {
    var status: Int32 = 0
    return waitpid(pid, &status, options) == pid ? status : nil
  }

  /// Only while it has not been waited for is the number its own.
  func send(_ signal: Int32) {
    if exitStatus == nil { kill(pid, signal) }
  }

  /// With all that it has started, and returns when it has ended.
  func killGroup() {
    if exitStatus == nil { kill(-pid, SIGKILL) }
    wait()
  }
}
