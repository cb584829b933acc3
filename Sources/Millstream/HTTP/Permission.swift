/// Whether a client may listen.
public enum Permission {
  /// It may; what is known of it goes with the connection, instead of what its token says (nil: that); of
  /// both ends the earlier counts. One whose end has passed already may not.
  case allow(ConnectionContext? = nil)
  /// It may not: 403.
  case forbid
  /// That cannot be said: 500, and no more than that.
  case fault
  /// That cannot be said now: 503, and when to come again.
  case unavailable

  /// What is over already would be let in to be closed at once, again and again.
  func asOf(_ unixTime: Int64) -> Permission {
    guard case .allow(let context?) = self, let end = context.expiresAt, end <= unixTime else {
      return self
    }
    return .forbid
  }
}
