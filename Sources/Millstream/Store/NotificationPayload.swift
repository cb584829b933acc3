/// What a notification on a PGMQ queue's channel carries when it is an ephemeral broadcast:
/// `{"html":…,"event":…,"visible_to":…,"exclude":…}`, which never was in the queue.
struct PGMQPayload: Equatable {
  /// The value of `html`; the JSON text itself where that is missing or no string.
  private(set) var data: [UInt8]
  private(set) var event: [UInt8]?
  /// Whom it is for. A value that is no string is kept as its JSON text: not deliverable to
  /// everybody, as it would be if it were dropped.
  private(set) var visibleTo: [UInt8]?
  private(set) var exclude: [UInt8]?

  /// Nil when the payload is not one JSON object; that is dropped and counted.
  init?(_ payload: UnsafeRawBufferPointer) {
    guard let object = JSONScanner.value(of: payload), var members = JSONMembers(of: object.raw)
    else { return nil }
    var html: JSONString?
    data = []
    while case .member(let key, let value) = members.next() {
      if key.equals("html") { html = value.string }
      if key.equals("event") { event = value.string?.unescaped() }
      if key.equals("visible_to") { visibleTo = value.label }
      if key.equals("exclude") { exclude = value.label }
    }
    data = html?.unescaped() ?? Array(object.raw)
  }
}

/// What a notification on the native store's channel carries:
/// `{"s":stream,"e":epoch,"i":id,"d":data,"t":event,"v":visible_to,"x":exclude}`; all but `s` may
/// be absent or null.
struct NativePayload: Equatable {
  /// The stream's name, not empty.
  private(set) var stream: [UInt8] = []
  private(set) var epoch: UInt32?
  /// The message's place in the stream, from 1; nil: ephemeral.
  private(set) var id: Int64?
  /// Nil: the data did not fit, and has to be read.
  private(set) var data: [UInt8]?
  private(set) var event: [UInt8]?
  /// As in `PGMQPayload`.
  private(set) var visibleTo: [UInt8]?
  private(set) var exclude: [UInt8]?

  /// Nil when the payload is not one JSON object, or holds a member of the wrong kind.
  init?(_ payload: UnsafeRawBufferPointer) {
    guard var members = JSONMembers(of: payload) else { return nil }
    while true {
      switch members.next() {
      case .member(let key, let value):
        guard take(key, value) else { return nil }
      case .end where !stream.isEmpty:
        return
      case .end, .malformed:
        return nil
      }
    }
  }

  /// The stream's name alone, for those who only decide where it goes; nil where `init` gives nil for the
  /// want of one.
  static func streamName(in payload: UnsafeRawBufferPointer) -> [UInt8]? {
    guard var members = JSONMembers(of: payload) else { return nil }
    var name: JSONString?
    while true {
      switch members.next() {
      case .member(let key, let value):
        if key.equals("s") { name = value.string }
      case .end:
        return name?.unescaped()
      case .malformed:
        return nil
      }
    }
  }

  private mutating func take(_ key: JSONString, _ value: JSONValue) -> Bool {
    if key.equals("v") {
      visibleTo = value.label
    } else if key.equals("x") {
      exclude = value.label
    } else if key.equals("s") {
      stream = value.string?.unescaped() ?? []
      return !stream.isEmpty
    } else if key.equals("d") {
      data = value.string?.unescaped()
      return data != nil || value.kind == .null
    } else if key.equals("t") {
      event = value.string?.unescaped()
    } else if key.equals("e") {
      epoch = value.integer.flatMap { UInt32(exactly: $0) }
      return epoch != nil || value.kind == .null
    } else if key.equals("i") {
      id = value.integer
      return id.map { $0 > 0 } ?? (value.kind == .null)
    }
    return true
  }
}

extension JSONValue {
  /// The text of a string, the JSON text of anything else, and nothing for null.
  fileprivate var label: [UInt8]? {
    kind == .null ? nil : string?.unescaped() ?? Array(raw)
  }
}
