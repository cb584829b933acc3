import Millstream

/// The demo's stream as its publisher: ticks, and what visitors of the page write.
final class DemoFeed {
  static let stream = "demo:feed"
  private static let tickMs: Int64 = 1_500

  private let session: PublishingSession
  private var ticks = 0
  private var hasStarted = false
  private lazy var timer = TimerWatcher(loop: loop) { [unowned self] in tick() }
  private let loop: EventLoop

  /// Called once, when it can publish for the first time.
  var started: () -> Void = {}

  init(loop: EventLoop, session: PublishingSession) {
    self.loop = loop
    self.session = session
  }

  func start() {
    session.ready = { [unowned self] in sessionReady() }
    session.start()
  }

  private func sessionReady() {
    if hasStarted { return }
    hasStarted = true
    timer.repeatFiring(everyMs: DemoFeed.tickMs)
    started()
  }

  /// A tick that Postgres is not there for is left out: the next one tells as much.
  private func tick() {
    let data = "{\"n\":\(ticks + 1),\"at\":\"\(UTCTime.precise)\"}"
    if publish(data, event: "tick", exclude: nil) { ticks += 1 }
  }

  /// Returns at once; false: Postgres is away.
  func publish(_ data: String, event: String?, exclude: String?) -> Bool {
    session.publish(data, to: DemoFeed.stream, event: event, exclude: exclude)
  }
}
