/// What an application says of a member beside its name: a JSON object that others on the stream are shown.
enum MemberMetadata {
  /// The most bytes of JSON: with the member's name it has to fit a notification.
  static let maximumBytes = 2048

  private static let null: StaticString = #"\u0000"#

  /// The object's text; nil when it is none, is too large, or holds what Postgres cannot keep.
  static func text(of value: JSONValue) -> String? {
    guard value.kind == .object, value.raw.count <= maximumBytes, !holdsNull(value.raw) else {
      return nil
    }
    return String(decoding: value.raw, as: UTF8.self)
  }

  private static func holdsNull(_ text: UnsafeRawBufferPointer) -> Bool {
    let length = null.utf8CodeUnitCount
    return text.indices.contains { place in
      text[place] == null.utf8Start[0] && ASCII.equals(text[place...].prefix(length), null)
    }
  }
}
