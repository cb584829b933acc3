/// Where one of an instance's Postgres sessions stands.
package struct SessionSnapshot: Sendable {
  package let name: String
  package let isReady: Bool
  /// Why it is not ready; nil: it is, or has not failed yet.
  package let lastFailure: String?
  package let timesReady: UInt64
  package let timesFailed: UInt64
  package let queries: UInt64

  init(_ session: PostgresSession) {
    name = session.name
    isReady = session.isReady
    lastFailure = session.lastFailure
    timesReady = session.timesReady
    timesFailed = session.timesFailed
    queries = session.queryCount
  }
}

/// Everything of an instance that an operator wants to know, as one value that other threads may have.
package struct Snapshot: Sendable {
  package let statistics: Statistics
  package let states: ConnectionStates
  /// How many streams the connections follow, all together.
  package let subscriptions: Int
  package let blocked: Int
  package let streams: Int
  package let logBytes: Int
  /// Members that have connections, on streams with presence.
  package let presentMembers: Int
  package let sessions: [SessionSnapshot]
  /// From 0 to 1; nil: not known.
  package let notificationQueueUsage: Double?
  /// Whether each store that is served can be read; empty: not known, or another instance says it.
  package let availableStores: [StoreKind: Bool]
  /// It was started, and is not shutting down.
  package let isRunning: Bool
  /// Whether broadcasts of the native store are heard; nil: it is not served.
  package let isNativeHeard: Bool?
}

extension Instance {
  /// How it stands now. On the loop's thread; costs no more with many connections or streams.
  package var snapshot: Snapshot {
    let dispatcher = parts.dispatcher
    return Snapshot(
      statistics: statistics, states: dispatcher.states,
      subscriptions: dispatcher.states.count - parts.writer.carrierCount
        + dispatcher.laneStates.count,
      blocked: parts.writer.blocked.count,
      streams: streamCount, logBytes: dispatcher.logMemory.byteCount,
      presentMembers: dispatcher.presence?.memberCount ?? 0, sessions: sessions,
      notificationQueueUsage: queueUsage?.fraction,
      availableStores: storeAccess?.isAvailable ?? [:], isRunning: isRunning,
      isNativeHeard: serves(.native)
        ? parts.listener.isListening(to: [NativeSchema.channel]) : nil)
  }

  private var sessions: [SessionSnapshot] {
    if configuration.stores.isEmpty { return [] }
    return [parts.listener.ownSession, parts.reads, parts.writes].compactMap {
      $0.map(SessionSnapshot.init)
    }
  }
}
