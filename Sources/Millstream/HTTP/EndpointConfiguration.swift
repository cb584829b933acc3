/// What the endpoint serves, and to whom.
public struct EndpointConfiguration: Sendable {
  /// The prefix of PGMQ streams; nil: not served.
  public var pgmqPrefix: String? = "/pgbus/streams"
  /// The prefix of native streams; nil: not served.
  public var nativePrefix: String? = "/streams"
  /// The prefix of the streams of a store of the host's own; nil: not served.
  public var hostPrefix: String?
  /// What stands before a stream's name in the name of its PGMQ queue.
  public var queuePrefix = "pgbus"
  /// The secrets that signed names are checked against; the first signs.
  public var secrets: [[UInt8]] = []
  /// Patterns of names that need no signature; `*` stands for any run of bytes (`demo:*`).
  public var publicPatterns: [String] = []
  /// Origins whose pages may read; `*`: any.
  public var allowedOrigins: [String] = []
  /// What tokens are verified with; nil: none are taken.
  package var tokens: TokenSettings?
  /// How many connections it lets in.
  public var limits = ConnectionLimits()
  /// Proxies that are believed about where a client is from. Without any, it is where its connection is from.
  public var trustedProxies: [TrustedProxy] = []
  /// Which clients come back by themselves when they are refused temporarily.
  public var refusesSoftly = SoftRefusals.native
  /// How long a client may take until it has sent its request and was authorized, in milliseconds.
  public var headTimeoutMs: Int64 = 10_000

  /// The defaults: both prefixes, no secret, nothing public.
  public init() {}
}
