import Synchronization

/// What the hub has for one loop and the loop has not taken yet: in order, and bounded in bytes.
final class NotificationInbox: Sendable {
  /// A channel, and by which of the loop's wishes for it.
  struct Heard: Sendable {
    var channel: String
    var ticket: UInt64
  }

  enum Entry: Sendable {
    case notified(SharedNotification)
    /// These channels are heard from here on.
    case listening([Heard])
    /// The session is there, or is expected: its channels follow.
    case expected
    /// The session broke.
    case lost
    /// So many notifications are missing here; what holds now follows.
    case dropped(Int)

    /// What it counts for: its bytes, and something for what holds them.
    var byteCount: Int {
      switch self {
      case .notified(let notification): 64 + notification.byteCount
      case .listening(let heard): heard.reduce(32) { $0 + 32 + $1.channel.utf8.count }
      case .expected, .lost, .dropped: 32
      }
    }

    /// How many notifications are missing where it is dropped.
    var notificationCount: Int {
      switch self {
      case .notified: 1
      case .dropped(let count): count
      case .listening, .expected, .lost: 0
      }
    }
  }

  private struct State {
    var entries: [Entry] = []
    var byteCount = 0
    var notificationCount = 0
    var isClosed = false
  }

  private let state = Mutex(State())
  private let limitBytes: Int

  init(limitBytes: Int) {
    self.limitBytes = limitBytes
  }

  /// Adds entries; false: there is no room for them, and nothing was done.
  func put(_ entries: [Entry]) -> Bool {
    let byteCount = entries.reduce(0) { $0 + $1.byteCount }
    let notificationCount = entries.reduce(0) { $0 + $1.notificationCount }
    return state.withLock { state in
      if state.isClosed { return true }
      guard state.byteCount + byteCount <= limitBytes else { return false }
      state.byteCount += byteCount
      state.notificationCount += notificationCount
      if state.entries.isEmpty { state.entries = entries } else { state.entries += entries }
      return true
    }
  }

  /// Drops what waits, and puts `entries` in its place: what holds after it. They count for nothing, so
  /// that they have room in any case. `missing`: how many notifications are dropped elsewhere.
  func restart(with entries: [Entry], missing: Int) {
    let old = state.withLock { state -> [Entry] in
      if state.isClosed { return [] }
      let old = state.entries
      let count = state.notificationCount + missing
      state = State(entries: [.dropped(count)] + entries, notificationCount: count)
      return old
    }
    // Megabytes are not freed while the loop cannot get at its inbox.
    withExtendedLifetime(old) {}
  }

  /// Takes all.
  func take() -> [Entry] {
    state.withLock { state in
      defer { state = State(isClosed: state.isClosed) }
      return state.entries
    }
  }

  var isEmpty: Bool { state.withLock { $0.entries.isEmpty } }

  /// Drops all, and what comes later.
  func close() {
    _ = state.withLock { state -> [Entry] in
      defer { state = State(isClosed: true) }
      return state.entries
    }
  }
}
