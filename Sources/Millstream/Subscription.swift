/// What a client asked for, once it is known who may: the part of a request that an instance needs. A
/// ``SubscriptionMaker`` makes it.
public struct Subscription {
  var store: StoreKind
  /// The name as the client knows it.
  var name: String
  /// What the store calls it.
  var storageName: [UInt8]
  /// The channels that wake this stream alone.
  var channels: [String]
  var cursor: CursorRequest
  /// The bytes that go before the first frame: the head of the response.
  var head: [UInt8]
  /// What its token says of the client.
  var context: ConnectionContext?
  /// It is of all native streams whose names fit.
  var isPattern = false
  /// It is a pattern that is open because it is public: nobody has said that this client may follow it.
  var isPublicPattern = false
}

/// What became of a descriptor that was handed over. It is the instance's in every case.
public enum Registration: Equatable, Sendable {
  /// The connection is open, and known by this id.
  case registered(ConnectionID)
  /// The instance does not run (any more): the descriptor was closed.
  case dead
}
