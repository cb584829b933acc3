import ArgumentParser
import Glibc
import Logging
import Millstream
import Synchronization

/// Reads the options and the files that they name again, on a thread of its own: the loop does not wait for
/// files. What is not in order changes nothing.
final class Reloader: @unchecked Sendable {
  /// What is given at some time, and what it comes to.
  private struct Given {
    var serve: Serve
    var arguments: [String]
    var settings: ChangeableSettings?
  }

  // All of these belong to the main loop's thread, but that the other one reads `given` meanwhile.
  private var given: Given
  private let logger: Logger
  private let done: (ChangeableSettings?) -> Void
  private var isUnderWay = false
  private var isWantedAgain = false
  private var watcher: AsyncWatcher?
  private let outcome = Mutex<Outcome?>(nil)

  private enum Outcome: @unchecked Sendable {
    case new(Given)
    case faulty(String)
  }

  /// `done` gets what is new after each `start`; nil: it is not in order, which has been logged.
  init(
    _ serve: Serve, loop: EventLoop, logger: Logger, done: @escaping (ChangeableSettings?) -> Void
  ) {
    given = Given(
      serve: serve, arguments: (try? GivenArguments.atStart.get().arguments) ?? [])
    self.logger = logger
    self.done = done
    watcher = AsyncWatcher(loop: loop) { [unowned self] in finish() }
  }

  /// What changes while it is under way is read afterwards.
  func start() {
    isWantedAgain = isUnderWay
    if isUnderWay { return }
    isUnderWay = true
    if !DetachedThread.run({ [self] in read() }) { end(.faulty("there is no thread to be had")) }
  }

  /// On the other thread.
  private func read() {
    let result: Outcome
    do {
      let now = try Serve.givenAnew()
      let merged = given.serve.taking(changesOf: now.serve)
      result = .new(
        Given(
          serve: merged, arguments: now.arguments,
          settings: try merged.changeableSettings(logger)))
    } catch {
      result = .faulty(MillstreamCommand.message(for: error))
    }
    outcome.withLock { $0 = result }
    watcher?.wake()
  }

  private func finish() {
    let result = outcome.withLock { outcome in
      defer { outcome = nil }
      return outcome
    }
    if let result { end(result) }
  }

  private func end(_ outcome: Outcome) {
    isUnderWay = false
    switch outcome {
    case .new(let new):
      warn(of: OptionValues(given.arguments).differing(from: OptionValues(new.arguments)))
      given.serve = new.serve
      done(new.settings)
    case .faulty(let reason):
      logger.error("cannot reload; what was in force stays", metadata: ["reason": "\(reason)"])
      done(nil)
    }
    if isWantedAgain { start() }
  }

  /// Said at each reload until there was a restart.
  private func warn(of changed: [String]) {
    let fixed = changed.filter { !Serve.changeableOptions.contains($0) }
    if fixed.isEmpty { return }
    logger.warning(
      "some options have changed that need a restart",
      metadata: ["options": "\(fixed.map { "--" + $0 }.joined(separator: ","))"])
  }
}

/// A thread that nobody waits for.
enum DetachedThread {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// False: the system gives none.
  static func run(_ body: @escaping @Sendable () -> Void) -> Bool {
    var thread = pthread_t()
    let body = Unmanaged.passRetained(Body(body))
    let code = pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      body.release()
      return false
    }
    pthread_detach(thread)
    return true
  }
}
