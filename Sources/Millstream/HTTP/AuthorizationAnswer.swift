/// What an application says over HTTP about who may listen.
package enum AuthorizationAnswer {
  /// The largest body that is read, in bytes.
  package static let maximumBytes = 64 * 1024
  private static let maximumMemberBytes = 512

  /// A status of 200 to 299 lets in, 401 and 403 refuse; anything else is no answer (nil). So is a body
  /// that claims to be JSON and is not what it should be: who misses an end that the application has set
  /// would let in for ever.
  package static func permission(
    status: Int, contentType: String?, body: [UInt8], at unixTime: Int64
  ) -> Permission? {
    switch status {
    case 401, 403: return .forbid
    case 200...299: break
    default: return nil
    }
    guard isJSON(contentType), !body.isEmpty else { return .allow() }
    guard let context = body.withUnsafeBytes({ context($0) }) else { return nil }
    // What is over already would be let in to be closed at once, again and again.
    if let end = context.expiresAt, end <= unixTime { return .forbid }
    return .allow(context)
  }

  /// `application/json`, whatever follows it.
  private static func isJSON(_ contentType: String?) -> Bool {
    guard let contentType else { return false }
    let type = contentType.utf8.prefix { $0 != UInt8(ascii: ";") && !ASCII.isBlank($0) }
    return ASCII.equalsIgnoringCase(type, "application/json")
  }

  private static func context(_ text: UnsafeRawBufferPointer) -> ConnectionContext? {
    guard let members = JSONUniqueMembers.members(of: text) else { return nil }
    var member: String?
    var labels: Set<String> = []
    var expiresAt: Int64?
    for (name, value) in members where value.kind != .null {
      switch String(decoding: name, as: UTF8.self) {
      case "member":
        guard let text = value.string?.unescaped(), text.count <= maximumMemberBytes else {
          return nil
        }
        member = String(decoding: text, as: UTF8.self)
      case "labels":
        guard let texts = value.texts(atMost: TokenClaims.maximumLabels) else { return nil }
        labels = Set(texts.map { String(decoding: $0, as: UTF8.self) })
      case "expires_at":
        guard let seconds = value.seconds else { return nil }
        expiresAt = seconds
      default: break
      }
    }
    return ConnectionContext(member: member, labels: labels, expiresAt: expiresAt)
  }
}

extension AuthorizationQuestion {
  /// The stream's name as a header field can hold it: what is not visible ASCII, and `%`, is
  /// percent-encoded.
  package var streamField: String {
    var text: [UInt8] = []
    for byte in stream.name.utf8 {
      if ASCII.isVisible(byte) && byte != UInt8(ascii: "%") {
        text.append(byte)
      } else {
        text.append(UInt8(ascii: "%"))
        text.append(contentsOf: Hexadecimal.encode(CollectionOfOne(byte)))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
