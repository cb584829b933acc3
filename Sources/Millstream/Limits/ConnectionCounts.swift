import Synchronization

/// How many connections there are of whatever has a limit. One for all loops of a process: it is the one thing
/// that they share, and is touched when a connection comes and when it goes, for as long as it takes to count.
package final class ConnectionCounts: Sendable {
  enum Key: Hashable, Sendable {
    case address(NetworkAddress)
    /// By the bytes of the name: two that look the same are two.
    case member([UInt8])
    case stream(StoreKind, [UInt8])
  }

  private struct State {
    // What is at 0 is taken out: there is no more than there are connections.
    var counts: [Key: Int] = [:]
    var bucket = TokenBucket()
  }

  private let state = Mutex(State())

  /// Nothing is counted yet.
  package init() {}

  /// Counts one more, unless there are as many as `limit`.
  func take(_ key: Key, upTo limit: Int) -> Bool {
    state.withLock { state in
      let count = state.counts[key, default: 0]
      guard count < limit else { return false }
      state.counts[key] = count + 1
      return true
    }
  }

  /// Counts one less of each.
  func giveBack(_ keys: [Key]) {
    if keys.isEmpty { return }
    state.withLock { state in
      for key in keys {
        let count = state.counts[key, default: 0]
        state.counts[key] = count > 1 ? count - 1 : nil
      }
    }
  }

  /// Whether another may come now; if so, it has.
  func mayAccept(ratePerSecond: Int, nowMs: Int64) -> Bool {
    state.withLock { $0.bucket.take(ratePerSecond: ratePerSecond, nowMs: nowMs) }
  }

  func count(of key: Key) -> Int { state.withLock { $0.counts[key, default: 0] } }

  /// Of how many different things there are connections.
  var keyCount: Int { state.withLock { $0.counts.count } }
}
