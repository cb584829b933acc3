/// What has to be remembered of a connection for as long as it is there: where it was counted, and what only its
/// request has said. Most connections have none; when it goes, they are counted no more.
final class Admission {
  private let counts: ConnectionCounts
  private var keys: [ConnectionCounts.Key] = []
  /// Its streams are counted.
  var countsStreams = false
  /// The client's address, as a proxy has said it; nil: it is that of the other side.
  var forwardedAddress: NetworkAddress?
  /// What the client calls its request; nil: nothing.
  var requestID: String?

  init(_ counts: ConnectionCounts) {
    self.counts = counts
  }

  deinit {
    counts.giveBack(keys)
  }

  /// Counts it there; false: there are too many.
  func take(_ key: ConnectionCounts.Key, upTo limit: Int) -> Bool {
    guard counts.take(key, upTo: limit) else { return false }
    keys.append(key)
    return true
  }

  /// A stream has come to it by a pattern, which says all that fit: it counts, but is not refused.
  func joined(_ store: StoreKind, _ storageName: [UInt8]) {
    if countsStreams { _ = take(.stream(store, storageName), upTo: .max) }
  }

  /// One of its streams has ended for it alone, or with it.
  func left(_ store: StoreKind, _ storageName: [UInt8]) {
    // Those that came before there was a limit are not counted.
    guard countsStreams, let index = keys.firstIndex(of: .stream(store, storageName)) else {
      return
    }
    counts.giveBack([keys.remove(at: index)])
  }
}

extension Writer {
  /// Where a client is from: `HOST:PORT`, or the address that a trusted proxy has said; nil: it has none, or is
  /// gone.
  func address(of connection: ConnectionRef) -> String? {
    admissions[connection.pointee.id]?.forwardedAddress.map { "\($0)" }
      ?? SocketAddress(peerOf: connection.pointee.descriptor)?.text
  }
}
