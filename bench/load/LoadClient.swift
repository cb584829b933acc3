import CLoad
import Glibc

/// The command `millstream-load`.
@main
enum LoadClient {
  /// Descriptors for what is not a connection: standard streams, epoll.
  private static let reservedDescriptors = 16

  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.contains("--help") || arguments.contains("-h") {
      print(Options.help)
      return
    }
    do throws(LoadError) {
      exit(try run(Options(arguments)) ? 0 : 1)
    } catch {
      Progress.say("millstream-load: \(error.text)")
      if case .usage = error { exit(64) }
      exit(1)
    }
  }

  private static func run(_ options: Options) throws(LoadError) -> Bool {
    try raiseDescriptorLimit(for: options.connections)
    load_catch_signals()
    var load = try Load(options, Target(options))
    try load.run()
    let report = Report(load)
    print(options.json ? report.json : report.text, terminator: "")
    return load.hasPassed
  }

  private static func raiseDescriptorLimit(for connections: Int) throws(LoadError) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let wanted = rlim_t(connections + reservedDescriptors)
    guard limit.rlim_max >= wanted else {
      throw .tooFewDescriptors(limit: Int(limit.rlim_max), wanted: Int(wanted))
    }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
