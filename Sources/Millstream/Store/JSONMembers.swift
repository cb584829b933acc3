/// Walks the members of a text that is one JSON object, in one pass over it.
///
/// What it gives is only good once it has come to `end`: until then the text may turn out to be
/// malformed. Of members with the same name the last is the one that counts.
package struct JSONMembers {
  package enum Step {
    case member(key: JSONString, value: JSONValue)
    /// The object is complete and nothing but blanks follows it.
    case end
    case malformed
  }

  private var scanner: JSONScanner
  private var isFirst = true

  /// Nil when the text does not begin as an object.
  package init?(of text: UnsafeRawBufferPointer) {
    scanner = JSONScanner(text)
    guard scanner.skip(UInt8(ascii: "{")) else { return nil }
  }

  /// The next member; not to be called again after `end` or `malformed`.
  package mutating func next() -> Step {
    defer { isFirst = false }
    switch scanner.place(isFirst: isFirst, close: UInt8(ascii: "}")) {
    case .end: return .end
    case .malformed: return .malformed
    case .item:
      guard let key = scanner.key(), let value = scanner.value(depth: 1) else { return .malformed }
      return .member(key: key, value: value)
    }
  }
}
