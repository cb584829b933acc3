import Glibc

/// A response head and the server-sent events behind it, read byte by byte: the state is a few
/// numbers and never text, so that 20,000 connections cost little and any split of the bytes is as
/// good as any other.
///
/// Lines end with LF or CRLF. A CR alone, which the format also allows (WHATWG HTML, "Server-sent
/// events"), is not taken for an end of line.
struct FrameParser {
  /// What the bytes came to.
  enum Event: Equatable {
    case head(status: Int)
    case frame(Frame)
  }

  private enum Phase: UInt8 {
    case head
    /// A field's name, up to its colon.
    case field
    case id, epoch, event
    /// The `t`, the `=` and the digits at the beginning of a payload.
    case data, mark, stamp
    /// The `n`, the `=` and the digits behind it.
    case number, numberMark, numberDigits
    /// What is of no interest, up to the end of the line.
    case rest
  }

  private struct Found: OptionSet {
    let rawValue: UInt8
    static let id = Found(rawValue: 1)
    static let opaqueID = Found(rawValue: 2)
    static let data = Found(rawValue: 4)
    static let comment = Found(rawValue: 8)
    static let payloadNumber = Found(rawValue: 16)
  }

  private var id: Int64 = 0
  private var stampNs: Int64 = 0
  /// A hash of the name in work; in the head, its last four bytes.
  private var token: UInt64 = 0
  private var epoch: UInt32 = 0
  private var phase = Phase.head
  /// Where in the line, or in its value, the next byte is; stays at 255.
  private var position: UInt8 = 0
  private var found: Found = []
  private var kind = Frame.Kind.message

  /// Takes bytes from `offset` on, up to the end of the next frame. Nil: all were taken.
  @inline(__always)
  mutating func next(in bytes: UnsafeRawBufferPointer, from offset: inout Int) -> Event? {
    while offset < bytes.count {
      if phase == .rest {
        offset = FrameParser.lineEnd(in: bytes, from: offset)
        guard offset < bytes.count else { return nil }
      }
      let byte = bytes[offset]
      offset += 1
      if let event = take(byte) { return event }
    }
    return nil
  }

  private static func lineEnd(in bytes: UnsafeRawBufferPointer, from offset: Int) -> Int {
    let start = bytes.baseAddress.unsafelyUnwrapped
    guard let found = memchr(start + offset, 0x0A, bytes.count - offset) else { return bytes.count }
    return UnsafeRawPointer(found) - start
  }

  @inline(__always)
  private mutating func take(_ byte: UInt8) -> Event? {
    if phase == .head { return takeHead(byte) }
    if byte == UInt8(ascii: "\n") { return endLine().map(Event.frame) }
    if byte != UInt8(ascii: "\r") { takeInLine(byte) }
    return nil
  }

  /// `HTTP/1.1 200 …` has its status at bytes 9 to 11; the head ends with an empty line.
  private mutating func takeHead(_ byte: UInt8) -> Event? {
    if (9...11).contains(position) { id = id * 10 + FrameParser.digit(byte) }
    if position < 255 { position += 1 }
    token = (token << 8 | UInt64(byte)) & 0xFFFF_FFFF
    guard token == 0x0D0A_0D0A else { return nil }
    let status = Int(id)
    beginFrame()
    return .head(status: status)
  }

  @inline(__always)
  private mutating func takeInLine(_ byte: UInt8) {
    if phase == .field {
      byte == UInt8(ascii: ":") ? endName() : note(byte)
      return
    }
    if position == 0 && byte == UInt8(ascii: " ") {
      position = 1
      return
    }
    position = 1
    takeInValue(byte)
  }

  @inline(__always)
  private mutating func takeInValue(_ byte: UInt8) {
    switch phase {
    case .id: takeID(byte)
    case .epoch: epoch = epoch &* 31 &+ UInt32(byte)
    case .event: note(byte)
    case .data: phase = byte == UInt8(ascii: "t") ? .mark : .rest
    case .mark: phase = byte == UInt8(ascii: "=") ? .stamp : .rest
    case .stamp: takeStamp(byte)
    case .number: phase = byte == UInt8(ascii: "n") ? .numberMark : .rest
    case .numberMark: byte == UInt8(ascii: "=") ? beginNumber() : (phase = .rest)
    case .numberDigits: takeNumber(byte)
    case .rest: break
    case .head, .field: preconditionFailure("the head and names are taken elsewhere")
    }
  }

  private mutating func note(_ byte: UInt8) {
    token = FrameParser.hash(token, byte)
    position = 1
  }

  private mutating func takeID(_ byte: UInt8) {
    if FrameParser.isDigit(byte) {
      id = id &* 10 &+ FrameParser.digit(byte)
    } else if byte == UInt8(ascii: "-") {
      phase = .epoch
    } else {
      found.insert(.opaqueID)
      phase = .rest
    }
  }

  private mutating func takeStamp(_ byte: UInt8) {
    guard FrameParser.isDigit(byte) else {
      phase = byte == UInt8(ascii: " ") && !hasNumericID ? .number : .rest
      return
    }
    stampNs = stampNs &* 10 &+ FrameParser.digit(byte)
  }

  /// Whether an id has come that its server counts up by one.
  private var hasNumericID: Bool { found.contains(.id) && !found.contains(.opaqueID) }

  /// Takes the place of what the digits of an opaque id had left.
  private mutating func beginNumber() {
    found.insert(.payloadNumber)
    phase = .numberDigits
    id = 0
    epoch = 0
  }

  private mutating func takeNumber(_ byte: UInt8) {
    guard FrameParser.isDigit(byte) else {
      phase = .rest
      return
    }
    id = id &* 10 &+ FrameParser.digit(byte)
  }

  /// At the colon. A line that begins with one is a comment.
  private mutating func endName() {
    switch token {
    case FrameParser.idName:
      found.insert(.id)
      phase = found.contains(.payloadNumber) ? .rest : .id
    case FrameParser.eventName: phase = .event
    case FrameParser.dataName:
      phase = found.contains(.data) ? .rest : .data
      found.insert(.data)
    default:
      if position == 0 { found.insert(.comment) }
      phase = .rest
    }
    token = 0
    position = 0
  }

  /// An empty line ends the frame.
  @inline(__always)
  private mutating func endLine() -> Frame? {
    if phase == .field && position == 0 { return endFrame() }
    if phase == .event { kind = FrameParser.kind(ofEvent: token) }
    phase = .field
    token = 0
    position = 0
    return nil
  }

  private mutating func endFrame() -> Frame {
    var frame = Frame(kind: .nothing)
    if found.contains(.comment) { frame.kind = .comment }
    if found.contains(.data) { frame.kind = kind }
    if found.contains(.id) { frame.identity = found.contains(.opaqueID) ? .opaque : .number }
    if found.contains(.payloadNumber) { frame.identity = .number }
    frame.id = id
    frame.epoch = epoch
    frame.stampNs = stampNs
    beginFrame()
    return frame
  }

  private mutating func beginFrame() {
    self = FrameParser()
    phase = .field
  }
}

extension FrameParser {
  fileprivate static let idName = hash("id")
  fileprivate static let eventName = hash("event")
  fileprivate static let dataName = hash("data")
  private static let connectedName = hash("pgbus:connected")
  private static let gapName = hash("pgbus:gap-detected")
  private static let goodbyeName = hash("pgbus:shutdown")

  /// FNV-1: what a name leaves in the token, so that no name is ever kept as text.
  @inline(__always)
  fileprivate static func hash(_ token: UInt64, _ byte: UInt8) -> UInt64 {
    token &* 0x100_0000_01B3 ^ UInt64(byte)
  }

  private static func hash(_ name: StaticString) -> UInt64 {
    name.withUTF8Buffer { $0.reduce(0, hash) }
  }

  fileprivate static func kind(ofEvent token: UInt64) -> Frame.Kind {
    switch token {
    case connectedName: .connected
    case gapName: .gap
    case goodbyeName: .goodbye
    default: .message
    }
  }

  fileprivate static func isDigit(_ byte: UInt8) -> Bool {
    byte &- UInt8(ascii: "0") < 10
  }

  fileprivate static func digit(_ byte: UInt8) -> Int64 {
    Int64(byte &- UInt8(ascii: "0"))
  }
}
