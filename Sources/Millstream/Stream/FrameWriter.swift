import Glibc

/// Writes server-sent events (WHATWG HTML, "Server-sent events") into memory that is large enough.
///
/// Used twice for each frame: once to count, once to write, so that nothing is ever copied again.
struct FrameWriter {
  private var target: UnsafeMutableRawPointer?
  private(set) var count = 0

  /// A writer that only counts (`target` nil), or writes from `target` on.
  init(to target: UnsafeMutableRawPointer?) {
    self.target = target
  }

  /// The event that a frame carries whose message names none.
  static let defaultEvent: StaticString = "turbo-stream"

  /// `id:`, `event:`, one `data:` for each line, and the blank line that ends a frame.
  mutating func broadcast(_ message: Message, epoch: UInt32?) {
    if let id = message.id { self.id(id, epoch: epoch) }
    literal("event: ")
    if let event = message.event, FrameWriter.isEventName(event) {
      bytes(event)
    } else {
      literal(FrameWriter.defaultEvent)
    }
    literal("\n")
    dataLines(message.data)
    literal("\n")
  }

  /// The frame of a message that is for one connection, without an id: it moves no cursor.
  static func frame(of message: StreamMessage) -> [UInt8] {
    var message = message
    message.id = nil
    var bytes: [UInt8] = []
    message.lend { message in
      let count = Chunk.frameBytes(of: message, epoch: nil)
      bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
        var writer = FrameWriter(to: UnsafeMutableRawPointer(buffer.baseAddress))
        writer.broadcast(message, epoch: nil)
        written = writer.count
      }
    }
    return bytes
  }

  private static let idField: StaticString = "id: "

  /// The text of the id that a frame begins with; nil: it has none.
  static func idText(of frame: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    let field = idField.utf8CodeUnitCount
    guard idField.withUTF8Buffer({ frame.starts(with: $0) }),
      let end = frame.firstIndex(of: ASCII.lineFeed)
    else { return nil }
    return UnsafeRawBufferPointer(rebasing: frame[field..<end])
  }

  /// How long the line is with this id.
  static func bytesOfLine(ofID text: UnsafeRawBufferPointer?) -> Int {
    text.map { idField.utf8CodeUnitCount + $0.count + 1 } ?? 0
  }

  private mutating func id(_ id: Int64, epoch: UInt32?) {
    literal(FrameWriter.idField)
    decimal(id)
    if let epoch {
      literal("-")
      hexadecimal(epoch)
    }
    literal("\n")
  }

  /// A name must not be blank, nor hold what would end its line or what browsers cannot match.
  private static func isEventName(_ name: UnsafeRawBufferPointer) -> Bool {
    var isBlank = true
    for byte in name {
      if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") { return false }
      if byte != UInt8(ascii: " ") && byte != UInt8(ascii: "\t") { isBlank = false }
    }
    return !isBlank
  }

  /// CRLF, CR and LF each end a line of the payload, as they would end a line of the stream.
  private mutating func dataLines(_ data: UnsafeRawBufferPointer) {
    var rest = data[...]
    while true {
      let lineEnd = rest.firstIndex { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
      literal("data: ")
      bytes(UnsafeRawBufferPointer(rebasing: rest[..<(lineEnd ?? rest.endIndex)]))
      literal("\n")
      guard let lineEnd else { return }
      let isPair =
        rest[lineEnd] == UInt8(ascii: "\r") && lineEnd + 1 < rest.endIndex
        && rest[lineEnd + 1] == UInt8(ascii: "\n")
      rest = rest[(lineEnd + (isPair ? 2 : 1))...]
    }
  }

  mutating func literal(_ text: StaticString) {
    bytes(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func bytes(_ source: UnsafeRawBufferPointer) {
    if let target, let base = source.baseAddress { memcpy(target + count, base, source.count) }
    count += source.count
  }

  mutating func decimal(_ value: Int64) {
    if value < 0 { byte(UInt8(ascii: "-")) }
    var divisor: UInt64 = 1
    let magnitude = value.magnitude
    while magnitude / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      byte(UInt8(ascii: "0") + UInt8(magnitude / divisor % 10))
      divisor /= 10
    }
  }

  mutating func hexadecimal(_ value: UInt32) {
    var shift = 28
    while shift > 0 && value >> shift == 0 { shift -= 4 }
    while shift >= 0 {
      let digit = UInt8(value >> shift & 15)
      byte(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      shift -= 4
    }
  }

  private mutating func byte(_ value: UInt8) {
    target?.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
    count += 1
  }
}
