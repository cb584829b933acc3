/// One server-sent event as far as the load client looks at it.
struct Frame: Equatable {
  enum Kind: UInt8 {
    case message
    /// `event: pgbus:connected`: the server has subscribed this connection.
    case connected
    /// `event: pgbus:gap-detected`: the server says that something cannot be delivered any more.
    case gap
    /// `event: pgbus:shutdown`.
    case goodbye
    /// Only comments, such as heartbeats.
    case comment
    /// Neither data nor a comment, such as `retry:` alone.
    case nothing
  }

  enum Identity: UInt8 {
    case none
    /// `id: N` or `id: N-EPOCH`; where a server has another kind of id, `n=N` in the payload, behind
    /// the time.
    case number
    /// Another server's own kind of id, and no number in the payload: counted, not compared.
    case opaque
  }

  var kind: Kind
  var identity = Identity.none
  var id: Int64 = 0
  /// A hash of what stands behind the `-` of the id; 0 without one.
  var epoch: UInt32 = 0
  /// What stands behind `t=` at the beginning of the payload, in nanoseconds; 0 without it.
  var stampNs: Int64 = 0
}
