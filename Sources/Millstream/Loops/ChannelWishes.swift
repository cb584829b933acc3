import Synchronization

/// The channels that one loop wants, on their way to the hub.
///
/// Not a queue: what is asked for and given back is nothing, so that what waits for a hub that is slow, or
/// gone, is bounded by the channels that the loop wants and those that the hub knows of.
final class ChannelWishes: Sendable {
  struct Change: Sendable {
    /// Another one each time that the channel is asked for anew; nil: it is not wanted any more.
    var ticket: UInt64?
    /// Whether the hub has been told of an earlier wish for it.
    fileprivate var isKnown: Bool
  }

  private struct State {
    var changes: [String: Change] = [:]
    var isClosed = false
  }

  private let state = Mutex(State())

  /// Called when the loop wants a channel that it did not want.
  func add(_ channel: String, ticket: UInt64) {
    state.withLock { state in
      state.changes[channel, default: Change(isKnown: false)].ticket = ticket
    }
  }

  /// Called when it does not want it any more.
  func remove(_ channel: String) {
    state.withLock { state in
      // Where nothing waits, the hub knows what was wanted until now.
      let isKnown = state.changes[channel]?.isKnown ?? true
      state.changes[channel] = isKnown ? Change(isKnown: true) : nil
    }
  }

  /// What has changed since the last call, by channel.
  func take() -> [String: Change] {
    state.withLock { state in
      defer { state.changes = [:] }
      return state.changes
    }
  }

  /// The loop wants nothing any more.
  func close() {
    _ = state.withLock { state -> [String: Change] in
      defer { state = State(isClosed: true) }
      return state.changes
    }
  }

  var isClosed: Bool { state.withLock { $0.isClosed } }
}
