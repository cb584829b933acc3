/// What a token whose signature is valid says (RFC 7519, 4.1, and `streams`, `labels` and `metadata`,
/// which are ours).
struct TokenClaims {
  /// The most patterns of streams, and labels.
  static let maximumStreams = 32
  static let maximumLabels = 64

  private(set) var expiresAt: Int64?
  private(set) var notBefore: Int64?
  private(set) var issuer: [UInt8]?
  /// Nil: it is for everybody.
  private(set) var audience: [[UInt8]]?
  private(set) var subject: String?
  private(set) var metadata: String?
  private(set) var labels: Set<String> = []
  private(set) var streams: [[UInt8]] = []

  /// Nil: it is no JSON object, a claim that counts here is of another type, or there are too many.
  init?(_ text: UnsafeRawBufferPointer) {
    guard let members = JSONUniqueMembers.members(of: text) else { return nil }
    for (name, value) in members {
      guard take(name, value) else { return nil }
    }
  }

  private mutating func take(_ name: [UInt8], _ value: JSONValue) -> Bool {
    switch String(decoding: name, as: UTF8.self) {
    case "exp":
      expiresAt = value.seconds
      return expiresAt != nil
    case "nbf":
      notBefore = value.seconds
      return notBefore != nil
    case "iss":
      issuer = value.string?.unescaped()
      return issuer != nil
    case "aud":
      audience = value.string?.unescaped().map { [$0] } ?? value.texts(atMost: 64)
      return audience != nil
    case "sub":
      guard let text = value.string?.unescaped(),
        text.count <= PresenceKey.maximumMemberBytes
      else { return false }
      subject = String(decoding: text, as: UTF8.self)
      return true
    case "metadata":
      metadata = MemberMetadata.text(of: value)
      return metadata != nil
    case "labels":
      guard let found = value.labels else { return false }
      labels = found
      return true
    case "streams":
      guard let texts = value.texts(atMost: TokenClaims.maximumStreams) else { return false }
      streams = texts
      return true
    default: return true
    }
  }
}

extension JSONValue {
  /// What a client may see, as a token and the application's answer say it; nil: it is no list of texts, or
  /// too long.
  var labels: Set<String>? {
    texts(atMost: TokenClaims.maximumLabels).map { texts in
      Set(texts.map { String(decoding: $0, as: UTF8.self) })
    }
  }

  /// A point in time in seconds since 1970 (RFC 7519, 2: NumericDate), a fraction dropped; nil when it is
  /// not a number, or not one of this world.
  var seconds: Int64? {
    guard kind == .number else { return nil }
    if let integer { return abs(integer.clamped) < JSONValue.endOfTime ? integer : nil }
    guard raw.count < 64, let number = Double(String(decoding: raw, as: UTF8.self)),
      abs(number) < Double(JSONValue.endOfTime)
    else { return nil }
    return Int64(number.rounded(.down))
  }

  /// Beyond the year 10000, and so that nothing that is added overflows.
  private static let endOfTime: Int64 = 1 << 48
}

extension Int64 {
  /// One whose magnitude can be taken.
  fileprivate var clamped: Int64 { Swift.max(self, -.max) }
}
