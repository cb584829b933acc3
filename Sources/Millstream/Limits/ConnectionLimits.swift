/// How many connections an endpoint lets in, beyond the number that there may be in all
/// (``Configuration/maxConnections``). 0: any number.
public struct ConnectionLimits: Sendable, Equatable {
  /// Of one address; of IPv6 a /64 counts as one.
  public var perAddress = 0
  /// Of one member, as the token or the application calls it.
  public var perMember = 0
  /// Of one stream. Where a connection carries several, each of them counts.
  public var perStream = 0
  /// How many may ask within a second for what there is, before anybody is asked whether they may; after a quiet
  /// second so many at once.
  public var acceptsPerSecond = 0

  /// No limits.
  public init() {}
}

/// Which temporary refusals are answered with an event stream that ends at once, so that a browser comes back:
/// its `EventSource` takes any status but 200 for final.
public enum SoftRefusals: String, Sendable, CaseIterable {
  /// All.
  case always
  /// All but those at pgbus's prefix, where clients know its 503.
  case native
  /// None: they get 503 or 429, and `retry-after`.
  case never
}

/// Why a client was temporarily not let in.
public enum RefusalReason: UInt8, CaseIterable, Sendable {
  /// There are as many connections as there may be.
  case full
  /// The server is about to end.
  case draining
  /// There are too many of its address.
  case address
  /// There are too many of its member.
  case member
  /// There are too many to the stream.
  case stream
  /// Too many came at once.
  case rate
  /// It could not be said who may listen: the application has not answered, or keys of tokens could not be fetched.
  case unavailable
}
