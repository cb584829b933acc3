import CLibEv
import CMillstream
import Glibc
import Logging
import Millstream
import Synchronization

/// What is behind a `millstream *`: an instance, the loop that it runs on, and the host's callbacks.
///
/// Everything but what is marked is used on the loop's thread alone.
final class Host: @unchecked Sendable {
  enum Phase: Int { case made, started, stopping, stopped }

  let callbacks: HostCallbacks
  let loop: EventLoop
  let instance: Instance
  let endpoint: Endpoint
  let router: HostRouter
  private(set) var thread: HostThread?
  private(set) var poller: LoopPoller?
  private var cleanup: CleanupWatcher?
  private let owner = pthread_self()
  private let phaseNumber = Atomic<Int>(Phase.made.rawValue)
  /// How many callbacks of the host are on the stack.
  private var depth = 0
  /// A callback is on the stack that may not call the instance, which is in the middle of something.
  private(set) var isLocked = false
  private var completions: [() -> Void] = []

  init(_ settings: HostSettings) throws {
    let callbacks = HostCallbacks(settings.callbacks)
    self.callbacks = callbacks
    if let borrowed = settings.loop {
      loop = EventLoop(borrowing: borrowed)
    } else {
      loop = try EventLoop()
    }
    var logger = Logger(label: "millstream") { _ in HostLogHandler(callbacks) }
    logger.logLevel = callbacks.logLevel
    let source = settings.store.map(HostSource.init)
    instance = try Instance(
      loop: loop, configuration: settings.configuration, source: source, logger: logger)
    endpoint = Endpoint(
      loop: loop, instance: instance, configuration: settings.endpoint, logger: logger)
    router = HostRouter(settings.endpoint)
    callbacks.host = self
    source?.host = self
    callbacks.connect(instance, endpoint)
    switch settings.kind {
    case .borrowed: cleanup = CleanupWatcher(loop: loop) { [unowned self] in abandon() }
    case .polled: poller = try LoopPoller(loop: loop)
    case .thread: thread = HostThread(loop: loop)
    }
  }

  /// Of what is known to all threads.
  var phase: Phase { Phase(rawValue: phaseNumber.load(ordering: .acquiring))! }

  private func enter(_ phase: Phase) { phaseNumber.store(phase.rawValue, ordering: .releasing) }

  // MARK: Threads

  /// Whether the calling thread is the one that the instance belongs to. [any thread]
  var isOnThread: Bool {
    guard let thread else { return pthread_equal(owner, pthread_self()) != 0 }
    return thread.isCurrent
  }

  /// Does `work` on the loop: now, if this is its thread. [any thread, if the loop has one of its own]
  func perform(_ work: @escaping () -> Void) {
    if let thread, !thread.isCurrent { return thread.post(work) }
    work()
    poller?.isDue()
  }

  /// What `body` finds on the loop, whose turn the caller waits for. [any thread, if the loop has its own]
  func find<Result>(_ body: @escaping () -> Result) -> Result {
    guard let thread, thread.isStarted, !thread.isCurrent else { return body() }
    return thread.wait(for: body)
  }

  /// Calls the host.
  func callOut<Result>(_ body: () -> Result) -> Result {
    depth += 1
    defer { depth -= 1 }
    return body()
  }

  /// Calls the host, who may only answer.
  func ask<Result>(_ body: () -> Result) -> Result {
    let wasLocked = isLocked
    isLocked = true
    defer { isLocked = wasLocked }
    return callOut(body)
  }

  /// Whether the instance can be called from here, where that is allowed on any thread.
  func checkCaller() throws(Refusal) {
    if !isOnThread {
      if thread == nil { throw Refusal(MILLSTREAM_WRONG_THREAD) }
    } else if isLocked {
      throw Refusal(MILLSTREAM_BUSY)
    }
  }

  // MARK: Lifecycle

  func start() -> millstream_result {
    switch phase {
    case .started: return MILLSTREAM_OK
    case .stopping, .stopped: return MILLSTREAM_STOPPED
    case .made: break
    }
    enter(.started)
    guard let thread else {
      startHere()
      poller?.isDue()
      return MILLSTREAM_OK
    }
    let isRunning = thread.start { [self] in
      startHere()
      loop.run()
      complete()
    }
    if !isRunning { enter(.made) }
    return isRunning ? MILLSTREAM_OK : MILLSTREAM_SYSTEM_ERROR
  }

  private func startHere() {
    endpoint.start()
    instance.start()
  }

  func shutdown(withinMs: Int64?, _ stopped: @escaping () -> Void) {
    if phase == .made {
      instance.shutdown()
      completions.append(stopped)
      return complete()
    }
    if phase == .started { enter(.stopping) }
    perform { [self] in
      completions.append(stopped)
      if phase == .stopped { return complete() }
      if instance.isEnded { return }
      endpoint.stop()
      instance.shutdown(withinMs: withinMs) { [unowned self] in instanceEnded() }
    }
  }

  /// With a loop of our own the host is told when it runs no more.
  private func instanceEnded() {
    endpoint.abandon()
    if thread != nil { return loop.stop() }
    if poller == nil { complete() }
  }

  private func complete() {
    enter(.stopped)
    cleanup?.stop()
    let waiting = completions
    completions = []
    for completion in waiting { completion() }
  }

  /// Does what is due; false: not from here.
  func run() -> Bool {
    if depth > 0 { return false }
    poller?.run(instance)
    if instance.isEnded && phase == .stopping { complete() }
    return true
  }

  /// The end without a word. The loop can go afterwards.
  private func abandon() {
    depth += 1
    instance.abandon()
    endpoint.abandon()
    cleanup?.stop()
    depth -= 1
    if phase != .stopped { complete() }
  }

  /// Everything goes; false: not from here.
  func destroy() -> Bool {
    guard end() else { return false }
    callbacks.isSilent = true
    authorizations.removeAll { $0.host === self }
    questions.removeAll { $0.host === self }
    return true
  }

  private func end() -> Bool {
    guard let thread, thread.isStarted else {
      if depth > 0 { return false }
      abandon()
      return true
    }
    if thread.isCurrent {
      if phase != .stopped { return false }
      thread.detach()
    } else {
      perform { [self] in
        instance.abandon()
        endpoint.abandon()
        loop.stop()
      }
      thread.join()
    }
    return true
  }
}
