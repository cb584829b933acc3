/// The head of an HTTP answer, as far as a client of event streams wants to know it.
struct ResponseHead: Equatable {
  /// The longest head that is read.
  static let maximumBytes = 64 * 1024

  let status: Int
  let reason: String
  let contentType: String
  /// `Transfer-Encoding: chunked`, which proxies make of a body without a length.
  let isChunked: Bool
  /// Nil where that is not said, or not in seconds that make sense.
  let retryAfterSeconds: Int64?

  /// The head and how many bytes it takes; nil: `bytes` are not all of it, or no head.
  static func parse(_ bytes: [UInt8]) -> (head: ResponseHead, length: Int)? {
    guard let end = endOfHead(bytes) else { return nil }
    // Not by Character: CR LF is one of them.
    let lines = bytes[..<end].split(separator: 0x0a).map { line in
      String(decoding: line.last == 0x0d ? line.dropLast() : line, as: UTF8.self)
    }
    guard let first = lines.first, first.hasPrefix("HTTP/1.") else { return nil }
    let parts = first.split(separator: " ", maxSplits: 2)
    guard parts.count >= 2, let status = Int(parts[1]) else { return nil }
    let fields = lines.dropFirst()
    let head = ResponseHead(
      status: status, reason: parts.count == 3 ? String(parts[2]) : "",
      contentType: value(of: "content-type", in: fields) ?? "",
      isChunked: value(of: "transfer-encoding", in: fields)?.hasSuffix("chunked") ?? false,
      retryAfterSeconds: value(of: "retry-after", in: fields).flatMap { UInt32($0) }.map(Int64.init)
    )
    return (head, end)
  }

  /// In lower case, without the blanks around it.
  private static func value(of name: String, in fields: ArraySlice<String>) -> String? {
    for field in fields {
      guard let colon = field.firstIndex(of: ":"), field[..<colon].lowercased() == name else {
        continue
      }
      let value = field[field.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      let blanks = value.reversed().prefix { $0 == " " || $0 == "\t" }.count
      return value.dropLast(blanks).lowercased()
    }
    return nil
  }

  private static func endOfHead(_ bytes: [UInt8]) -> Int? {
    var lineLength = 0
    for (place, byte) in bytes.enumerated() {
      switch byte {
      case 0x0a where lineLength == 0 && place > 0: return place + 1
      case 0x0a: lineLength = 0
      case 0x0d: break
      default: lineLength += 1
      }
    }
    return nil
  }
}

/// Takes the chunks of a body apart (RFC 9112, 7.1), in pieces of any size.
struct ChunkDecoder {
  private enum State { case size, extensions, data, dataEnd, done, malformed }

  private var state = State.size
  private var left = 0

  /// Whether the last chunk has come.
  var isDone: Bool { state == .done }
  var isMalformed: Bool { state == .malformed }

  /// The bytes of the body among `bytes`.
  mutating func decode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var body: [UInt8] = []
    var rest = bytes
    while !rest.isEmpty && state != .done && state != .malformed {
      if state == .data {
        let piece = rest.prefix(left)
        body.append(contentsOf: piece)
        rest = rest.dropFirst(piece.count)
        left -= piece.count
        if left == 0 { state = .dataEnd }
      } else {
        take(rest.removeFirst())
      }
    }
    return body
  }

  private mutating func take(_ byte: UInt8) {
    switch (state, byte) {
    case (.size, 0x0a), (.extensions, 0x0a): state = left == 0 ? .done : .data
    case (.dataEnd, 0x0a): (state, left) = (.size, 0)
    case (.extensions, _), (.dataEnd, 0x0d): break
    case (.size, UInt8(ascii: ";")), (.size, 0x0d), (.size, 0x20): state = .extensions
    case (.size, _):
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, left < 1 << 40 else {
        state = .malformed
        return
      }
      left = left << 4 | digit
    default: state = .malformed
    }
  }
}
