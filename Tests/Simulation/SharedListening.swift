@testable import Millstream

/// The world's loop as one of several: its notifications come through the hub of another loop. What is on
/// its way between them moves on when a step says so.
final class SharedListening {
  let hub: ListenerHub
  let source: NotificationSource
  private let hubLoop: EventLoop
  private let loop: EventLoop
  private var random: SeededGenerator

  /// A quarter of the worlds have it, half of those with room for a few notifications only.
  init?(seed: UInt64, listens: SimulatedSession) throws {
    guard seed % 4 == 1 else { return nil }
    random = SeededGenerator(seed: ~seed)
    hubLoop = try EventLoop()
    loop = try EventLoop()
    hub = ListenerHub(
      Listener(session: listens), loop: hubLoop,
      limitBytes: random.once(in: 2) ? 400 : ListenerHub.waitingLimitBytes)
    source = hub.source(for: loop)
  }

  /// The two loops run or do not, on their threads of their own.
  func step() {
    if random.once(in: 2) { turnHub() }
    if random.once(in: 2) { loop.runOnce() }
  }

  /// Whatever is on its way arrives.
  func passOn() {
    source.flush()
    turnHub()
    loop.runOnce()
  }

  private func turnHub() {
    hubLoop.runOnce()
    hub.flush()
  }
}

extension World {
  /// As `Instance` does it, and the simulated server along with it.
  func connectListener() {
    let listener = dispatcher.listener
    (shared?.hub ?? listener).lost = { [unowned self] in postgres.notifications = [] }
    let forget = listener.lost
    listener.lost = { [unowned self] in
      if shared == nil { forget() }
      dispatcher.sessionLost()
    }
    listener.listening = { [unowned self] in dispatcher.listening(on: $0) }
    listener.notified = { [unowned self] in
      arrived(payload: String(decoding: $1, as: UTF8.self))
      dispatcher.notified(channel: $0, payload: $1)
    }
    listener.dropped = { [unowned self] count in
      trace("\(count) notifications were dropped on their way")
      for ephemeral in ephemerals where ephemeral.isOnItsWay {
        ephemeral.arrived(at: postgres.nowMs)
        ephemeral.owed = []
      }
    }
    listener.add(NativeSchema.channel)
  }

  private func arrived(payload: String) {
    for ephemeral in ephemerals where ephemeral.isOnItsWay && ephemeral.payload == payload {
      ephemeral.arrived(at: postgres.nowMs)
    }
  }
}
