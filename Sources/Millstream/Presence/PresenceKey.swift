/// A stream whose members are told of each other, by the name that clients know it by.
struct PresenceStream: Hashable {
  let store: StoreKind
  let name: [UInt8]
}

/// A member on a stream, however many connections it has there.
struct PresenceKey: Hashable {
  /// The most bytes of a member's name. Tokens and answers that give a longer one are not in order, and whoever has
  /// one of the host's takes part in nothing.
  static let maximumMemberBytes = 512

  let stream: PresenceStream
  let member: [UInt8]

  init(_ stream: PresenceStream, member: [UInt8]) {
    self.stream = stream
    self.member = member
  }

  /// Nil when the name is blank, too long, or one that Postgres cannot keep: cut off at its zero it would be
  /// another's.
  init?(_ stream: PresenceStream, memberNamed member: String) {
    guard (1...PresenceKey.maximumMemberBytes).contains(member.utf8.count),
      !member.utf8.contains(0)
    else { return nil }
    self.init(stream, member: Array(member.utf8))
  }
}
