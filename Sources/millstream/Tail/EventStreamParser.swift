/// Reads an event stream (WHATWG HTML, 9.2.6, "Interpreting an event stream"), in pieces of any size.
///
/// It does no I/O. What it keeps grows with one event only, up to `maximumEventBytes`.
struct EventStreamParser {
  /// An event that was ended by its blank line.
  struct Event: Equatable {
    /// The id that stood in this event itself; the cursor is the parser's `lastEventID`.
    var id: String?
    /// `message` where the stream names none.
    var type: String
    /// The `data` lines, with a line feed between each two.
    var data: String
  }

  enum Item: Equatable {
    case event(Event)
    /// The text behind the colon.
    case comment(String)
  }

  /// The limit of one event: a server that never ends one would fill the memory.
  static let maximumEventBytes = 64 * 1024 * 1024

  /// What a client says when it reconnects; empty: nothing.
  private(set) var lastEventID = ""
  /// What the server wants a client to wait before it reconnects; nil: it has not said.
  private(set) var retryMs: Int64?
  /// Whether an event was longer than the limit. Nothing after that can be trusted.
  private(set) var isOverLimit = false

  private var line: [UInt8] = []
  /// The last byte was a carriage return: a line feed belongs to the same line end.
  private var wasCarriageReturn = false
  private var isFirstLine = true

  private var idBuffer = ""
  private var eventID: String?
  private var type: [UInt8] = []
  private var data: [UInt8] = []

  private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

  /// A connection begins: what was left of the one before it goes, the cursor and the time stay.
  mutating func reset() {
    let (lastEventID, retryMs) = (self.lastEventID, self.retryMs)
    self = EventStreamParser()
    (self.lastEventID, self.retryMs, idBuffer) = (lastEventID, retryMs, lastEventID)
  }

  /// Takes what has come and returns what it completes.
  mutating func consume(_ bytes: some Sequence<UInt8>) -> [Item] {
    var items: [Item] = []
    for byte in bytes {
      let endsPair = wasCarriageReturn && byte == 0x0a
      wasCarriageReturn = byte == 0x0d
      if endsPair { continue }
      if byte == 0x0d || byte == 0x0a {
        if let item = endLine() { items.append(item) }
      } else if line.count + data.count < EventStreamParser.maximumEventBytes {
        line.append(byte)
      } else {
        isOverLimit = true
      }
    }
    return items
  }

  private mutating func endLine() -> Item? {
    var text = line[...]
    if isFirstLine && text.starts(with: EventStreamParser.byteOrderMark) {
      text = text.dropFirst(3)
    }
    isFirstLine = false
    defer { line.removeAll(keepingCapacity: true) }
    if text.isEmpty { return dispatch() }
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else {
      field(text, [])
      return nil
    }
    if colon == text.startIndex {
      return .comment(String(decoding: text.dropFirst(), as: UTF8.self))
    }
    let value = text[(colon + 1)...]
    field(text[..<colon], value.first == UInt8(ascii: " ") ? value.dropFirst() : value)
    return nil
  }

  private mutating func field(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
    switch String(decoding: name, as: UTF8.self) {
    case "event":
      type = Array(value)
    case "data":
      data.append(contentsOf: value)
      data.append(0x0a)
    case "id":
      if value.contains(0) { return }
      idBuffer = String(decoding: value, as: UTF8.self)
      eventID = idBuffer
    case "retry":
      let isNumber = !value.isEmpty && value.allSatisfy { (0x30...0x39).contains($0) }
      if isNumber { retryMs = Int64(String(decoding: value, as: UTF8.self)) ?? retryMs }
    default:
      break
    }
  }

  /// A blank line: the cursor moves even if there is no data, and then no event comes of it.
  private mutating func dispatch() -> Item? {
    lastEventID = idBuffer
    defer {
      eventID = nil
      type.removeAll(keepingCapacity: true)
      data.removeAll(keepingCapacity: true)
    }
    if data.isEmpty { return nil }
    return .event(
      Event(
        id: eventID,
        type: type.isEmpty ? "message" : String(decoding: type, as: UTF8.self),
        data: String(decoding: data.dropLast(), as: UTF8.self)))
  }
}
