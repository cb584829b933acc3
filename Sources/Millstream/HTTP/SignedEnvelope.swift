/// The wrapping that Rails puts around a value that expires or has a purpose
/// (`ActiveSupport::Messages::Metadata`):
/// `{"_rails":{"message":BASE64(JSON(value)),"exp":…,"pur":…}}` up to Rails 7.0 and
/// `{"_rails":{"data":VALUE,"exp":…,"pur":…}}` from 7.1 on. It borrows the text.
struct SignedEnvelope {
  private var message: JSONValue?
  private var data: JSONValue?
  private var expiry: JSONValue?
  private var purpose: JSONValue?

  /// Nil when the value is not such an object.
  init?(_ value: JSONValue) {
    guard let rails = SignedEnvelope.rails(in: value),
      var members = JSONMembers(of: rails.raw)
    else { return nil }
    while case .member(let key, let value) = members.next() {
      if key.equals("message") { message = value }
      if key.equals("data") { data = value }
      if key.equals("exp") { expiry = value }
      if key.equals("pur") { purpose = value }
    }
  }

  private static func rails(in value: JSONValue) -> JSONValue? {
    guard var members = JSONMembers(of: value.raw) else { return nil }
    var rails: JSONValue?
    while case .member(let key, let value) = members.next() {
      if key.equals("_rails") { rails = value }
    }
    return rails
  }

  /// The string inside; nil when expired, for another purpose, or not a string.
  func name(purpose expected: [UInt8], at unixTime: Int64) -> [UInt8]? {
    guard isFresh(at: unixTime), isFor(expected) else { return nil }
    guard let message else { return data?.string?.unescaped() }
    guard let encoded = message.string?.unescaped(), let json = Base64.decode(encoded) else {
      return nil
    }
    return json.withUnsafeBytes { JSONScanner.value(of: $0)?.string?.unescaped() }
  }

  /// No expiry is for ever; one that cannot be read is over. The fraction of a second is dropped,
  /// so the end comes early rather than late.
  private func isFresh(at unixTime: Int64) -> Bool {
    guard let expiry, expiry.kind != .null else { return true }
    guard let text = expiry.string?.unescaped(), let end = Timestamp.unixTime(of: text) else {
      return false
    }
    return unixTime < end
  }

  /// In Rails, no purpose and the empty one are the same.
  private func isFor(_ expected: [UInt8]) -> Bool {
    guard let purpose, purpose.kind != .null else { return expected.isEmpty }
    return purpose.string?.unescaped() == expected
  }
}
