/// The query of a request for several streams: `s=NAME` for each of them, perhaps with `since=ID` behind it,
/// and `cursor=WORD`.
struct StreamSetQuery {
  /// One stream; nil for what is not well-formed percent-encoding.
  struct Wish {
    var name: [UInt8]?
    var since: ArraySlice<UInt8>?
  }

  private(set) var wishes: [Wish] = []
  /// Where it was in those behind whose names nothing stands, as a page says it that opens another connection.
  private(set) var cursor: ArraySlice<UInt8>?

  init(_ query: ArraySlice<UInt8>) {
    for pair in query.split(separator: UInt8(ascii: "&")) {
      let nameEnd = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      let value = PercentEncoding.decode(pair[nameEnd...].dropFirst(), plusIsSpace: true)
      switch String(decoding: pair[..<nameEnd], as: UTF8.self) {
      case "s": wishes.append(Wish(name: value))
      case "since" where !wishes.isEmpty: wishes[wishes.count - 1].since = value?[...] ?? []
      case "cursor": cursor = value?[...] ?? []
      default: break
      }
    }
  }
}

/// From where on a client wants each of several streams.
struct SetCursor {
  let vector: CursorVector?
  /// A browser sends `Last-Event-ID` by itself, with the address that it asked for at first: what stands
  /// there is out of date.
  private let winsOverSince: Bool

  /// The first word of `Last-Event-ID` wins over what stands behind each name, and this over the query's
  /// cursor; nil: the word is none of ours.
  init?(lastEventID: ArraySlice<UInt8>?, query: StreamSetQuery) {
    let sent = SetCursor.firstWord(lastEventID)
    winsOverSince = sent != nil
    let word = sent ?? SetCursor.firstWord(query.cursor)
    vector = word.flatMap { CursorVector(text: $0) }
    if word != nil && vector == nil { return nil }
  }

  private static func firstWord(_ text: ArraySlice<UInt8>?) -> ArraySlice<UInt8>? {
    text?.split(whereSeparator: ASCII.isBlank).first
  }

  /// Of all that fit: everything, or what comes from now on. Where it was in each the word says.
  func request(forPatternSince since: ArraySlice<UInt8>?) -> CursorRequest {
    guard let since, !since.allSatisfy(ASCII.isBlank) else { return .none }
    let request = CursorRequest(text: since, allowsEpoch: false)
    return request == .all || request == .none ? request : .invalid
  }

  func request(for name: String, since: ArraySlice<UInt8>?, allowsEpoch: Bool) -> CursorRequest {
    let known = vector?[CursorVector.Key(name.utf8)].map {
      CursorRequest.after(id: $0.id, epoch: allowsEpoch ? $0.epoch : nil)
    }
    if winsOverSince, let known { return known }
    guard let since, !since.allSatisfy(ASCII.isBlank) else { return known ?? .none }
    return CursorRequest(text: since, allowsEpoch: allowsEpoch)
  }
}
