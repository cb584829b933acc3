/// A client whose socket is full.
package struct SlowClient: Sendable {
  package let connection: ConnectionID
  /// Of several the first.
  package let stream: StreamIdentity
  /// How many it follows on this connection.
  package let streams: Int
  /// `HOST:PORT`, or the address that a trusted proxy has said; nil: it has none, or is gone.
  package let address: String?
  package let member: String?
  /// For how long the socket has been full.
  package let blockedMs: Int64
  /// What the kernel holds because the client has not acknowledged it.
  package let heldBytes: Int
  /// What waits for it in its streams' logs; nil: it reads from the store.
  package let behindBytes: Int?
}

/// Who has most to do, and who takes least, on one loop.
package struct Census: Sendable {
  package let busiest: [StreamStanding]
  /// Those whose socket has been full for longest.
  package let slow: [SlowClient]
}

extension Instance {
  /// On the loop's thread. The first in a while has no rates.
  package func takeCensus() -> Census {
    Census(busiest: busiestStreams(), slow: slowClients())
  }

  private static let slowClientsShown = 20
  /// After a storm very many may be slow. Who was not looked at for longest stands first.
  private static let slowClientsSeen = 2_048

  private func slowClients() -> [SlowClient] {
    let writer = parts.writer
    let nowMs = writer.clock.monotonicMs
    let seen = writer.blocked.due(nowMs: nowMs, intervalMs: 0, atMost: Instance.slowClientsSeen)
      .map { (connection: $0, beganMs: writer.blocked.pace(of: $0).beganMs) }
    return seen.sorted { $0.beganMs < $1.beganMs }.prefix(Instance.slowClientsShown).compactMap {
      slowClient($0.connection, blockedMs: nowMs - $0.beganMs)
    }
  }

  private func slowClient(_ connection: ConnectionRef, blockedMs: Int64) -> SlowClient? {
    let lanes = parts.writer.backlog(of: connection)?.carrier?.lanes.map(\.connection)
    let places = lanes ?? [connection]
    guard let stream = places.first?.pointee.stream?.takeUnretainedValue() else { return nil }
    return SlowClient(
      connection: connection.pointee.id, stream: stream.publicIdentity, streams: places.count,
      address: parts.writer.address(of: connection),
      member: parts.writer.contexts[connection.pointee.id]?.member, blockedMs: blockedMs,
      heldBytes: max(parts.writer.calls.heldBytes(connection.pointee.descriptor), 0),
      behindBytes: behindBytes(places))
  }

  private func behindBytes(_ places: [ConnectionRef]) -> Int? {
    var bytes = 0
    for place in places {
      guard place.pointee.phase == .live,
        let stream = place.pointee.stream?.takeUnretainedValue()
      else { return nil }
      bytes += Int(stream.log.end - place.pointee.position)
    }
    return bytes
  }
}
