/// Walks the elements of a text that is one JSON array, as `JSONMembers` walks an object.
package struct JSONElements {
  package enum Step {
    case element(JSONValue)
    /// The array is complete and nothing but blanks follows it.
    case end
    case malformed
  }

  private var scanner: JSONScanner
  private var isFirst = true

  /// Nil when the text does not begin as an array.
  package init?(of text: UnsafeRawBufferPointer) {
    scanner = JSONScanner(text)
    guard scanner.skip(UInt8(ascii: "[")) else { return nil }
  }

  /// The next element; not to be called again after `end` or `malformed`.
  package mutating func next() -> Step {
    defer { isFirst = false }
    switch scanner.place(isFirst: isFirst, close: UInt8(ascii: "]")) {
    case .end: return .end
    case .malformed: return .malformed
    case .item: return scanner.value(depth: 1).map { .element($0) } ?? .malformed
    }
  }
}

extension JSONValue {
  /// The texts of a list of at most `maximum` texts; nil for anything else.
  func texts(atMost maximum: Int) -> [[UInt8]]? {
    guard var elements = JSONElements(of: raw) else { return nil }
    var texts: [[UInt8]] = []
    while true {
      switch elements.next() {
      case .end: return texts
      case .malformed: return nil
      case .element(let value):
        guard texts.count < maximum, let text = value.string?.unescaped() else { return nil }
        texts.append(text)
      }
    }
  }
}

/// The members of an object in which no name stands twice: which of two counts, readers do not agree on,
/// and that is how one is shown something else than the next (RFC 7515, 4; RFC 7519, 4).
enum JSONUniqueMembers {
  /// Nil for anything else. The values borrow the text.
  static func members(
    of text: UnsafeRawBufferPointer
  ) -> [(name: [UInt8], value: JSONValue)]? {
    guard var walk = JSONMembers(of: text) else { return nil }
    var members: [(name: [UInt8], value: JSONValue)] = []
    var names: Set<[UInt8]> = []
    while true {
      switch walk.next() {
      case .end: return members
      case .malformed: return nil
      case .member(let key, let value):
        guard let name = key.unescaped(), names.insert(name).inserted else { return nil }
        members.append((name, value))
      }
    }
  }
}
