/// What an application says over HTTP about who may listen.
package enum AuthorizationAnswer {
  /// The largest body that is read, in bytes.
  package static let maximumBytes = 64 * 1024

  /// Why what an application has said is no answer, for who looks after it.
  package enum Fault: Error, Equatable, CustomStringConvertible {
    case status(Int)
    case tooLong
    case noObject
    /// One of the object's members is of another type, or too large.
    case member(String)

    package var description: String {
      switch self {
      case .status(let status): "status \(status)"
      case .tooLong: "its JSON has more than \(AuthorizationAnswer.maximumBytes) bytes"
      case .noObject: "its JSON is malformed, or no object"
      case .member(let name): "'\(name)' in its JSON is of another type, or too large"
      }
    }
  }

  /// A status of 200 to 299 lets in, 401 and 403 refuse; anything else is no answer. So is a body that claims
  /// to be JSON and is not what it should be: who misses an end that the application has set would let in for
  /// ever. `body`: nil, if it is longer than what is read; `length`: as it was announced, nil if it was not, in
  /// which case nobody knows whether an empty one is all.
  package static func permission(
    status: Int, contentType: String?, body: [UInt8]?, length: Int?, at unixTime: Int64
  ) throws(Fault) -> Permission {
    switch status {
    case 401, 403: return .forbid
    case 200...299: break
    default: throw .status(status)
    }
    if status == 204 || length == 0 || !isJSON(contentType) { return .allow() }
    guard let body else { throw .tooLong }
    let context = try body.withUnsafeBytes { AnswerContext.read($0) }.get()
    return Permission.allow(context).asOf(unixTime)
  }

  /// `application/json`, whatever follows it: it is better to find that it is none than to pass it over.
  private static func isJSON(_ contentType: String?) -> Bool {
    let name: StaticString = "application/json"
    return contentType.map {
      ASCII.equalsIgnoringCase($0.utf8.prefix(name.utf8CodeUnitCount), name)
    } ?? false
  }
}

/// The members of an answer that count.
private struct AnswerContext {
  private var member: String?
  private var metadata: String?
  private var labels: Set<String> = []
  private var expiresAt: Int64?

  static func read(
    _ text: UnsafeRawBufferPointer
  ) -> Result<ConnectionContext, AuthorizationAnswer.Fault> {
    guard let members = JSONUniqueMembers.members(of: text) else { return .failure(.noObject) }
    var answer = AnswerContext()
    for (name, value) in members where value.kind != .null {
      let name = String(decoding: name, as: UTF8.self)
      guard answer.take(name, value) else { return .failure(.member(name)) }
    }
    return .success(
      ConnectionContext(
        member: answer.member, metadata: answer.metadata, labels: answer.labels,
        expiresAt: answer.expiresAt))
  }

  private mutating func take(_ name: String, _ value: JSONValue) -> Bool {
    switch name {
    case "member":
      guard let text = value.string?.unescaped(),
        text.count <= PresenceKey.maximumMemberBytes
      else { return false }
      member = String(decoding: text, as: UTF8.self)
    case "metadata":
      metadata = MemberMetadata.text(of: value)
      return metadata != nil
    case "labels":
      guard let found = value.labels else { return false }
      labels = found
    case "expires_at":
      expiresAt = value.seconds
      return expiresAt != nil
    default: break
    }
    return true
  }
}
