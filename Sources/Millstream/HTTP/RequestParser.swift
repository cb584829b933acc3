/// Reads the head of one HTTP/1.x request (RFC 9112) from bytes that come in any pieces.
///
/// It holds no bytes: the caller keeps what came and shows all of it each time. The parser
/// remembers how far it looked, so that a head that comes byte by byte costs no more than one that
/// comes at once. What can be refused early (a control byte, too much of anything) is refused as
/// soon as it is seen; the lines themselves are read when the last of them is there.
struct RequestParser {
  /// The largest head, from the first byte through the empty line: 256 signed names have to fit.
  static let maximumHeadBytes = 48 * 1024
  /// The most field lines.
  static let maximumFields = 100

  enum Outcome: Equatable {
    /// No verdict yet: call again with more.
    case incomplete
    case complete(RequestHead)
    /// Answer with the reason's status and close.
    case invalid(Reason)
  }

  /// How many bytes were looked at.
  private var scanned = 0
  /// Where the line begins that is being looked at.
  private var lineStart = 0
  /// Where the request line begins: behind the empty line that may stand before it.
  private var headStart = 0
  private var lineCount = 0

  /// Looks at what is new in `received`, which is everything from the connection's first byte on.
  ///
  /// Not to be called again once the outcome was not `incomplete`.
  mutating func parse(_ received: UnsafeRawBufferPointer) -> Outcome {
    precondition(received.count >= scanned, "bytes that were shown before are missing")
    do throws(Reason) {
      guard try scan(received) else {
        return received.count < RequestParser.maximumHeadBytes
          ? .incomplete : .invalid(.headTooLarge)
      }
      // The head is judged first, so that what comes behind it changes no other verdict. A request
      // behind the first is never answered: one connection is one stream.
      let head = try head(received[headStart..<scanned])
      return received.count == scanned ? .complete(head) : .invalid(.unexpectedBytes)
    } catch {
      return .invalid(error)
    }
  }

  /// Goes on to the empty line that ends the head; false when it has not come yet.
  ///
  /// A line feed alone ends a line, as RFC 9112, 2.2 allows: nothing follows a request here that
  /// could be taken for another one. A carriage return alone is refused.
  private mutating func scan(_ received: UnsafeRawBufferPointer) throws(Reason) -> Bool {
    let limit = min(received.count, RequestParser.maximumHeadBytes)
    while scanned < limit {
      let byte = received[scanned]
      let isAfterReturn = scanned > 0 && received[scanned - 1] == ASCII.carriageReturn
      if isAfterReturn && byte != ASCII.lineFeed { throw .malformed }
      scanned += 1
      if byte == ASCII.lineFeed {
        if try isLastLine(received) { return true }
      } else if ASCII.isControl(byte) && byte != ASCII.tab && byte != ASCII.carriageReturn {
        throw .malformed
      }
    }
    return false
  }

  /// Takes note of the line that ended just before `scanned`; true for the one that ends the head.
  private mutating func isLastLine(_ received: UnsafeRawBufferPointer) throws(Reason) -> Bool {
    let length = scanned - lineStart
    let isEmpty =
      length == 1 || (length == 2 && received[lineStart] == ASCII.carriageReturn)
    lineStart = scanned
    guard isEmpty else {
      lineCount += 1
      guard lineCount <= 1 + RequestParser.maximumFields else { throw .tooManyFields }
      return false
    }
    if lineCount > 0 { return true }
    // One empty line before the request is let pass (RFC 9112, 2.2), not a row of them.
    guard headStart == 0 else { throw .malformed }
    headStart = scanned
    return false
  }

  /// Reads the lines of a whole head.
  private func head(
    _ received: Slice<UnsafeRawBufferPointer>
  ) throws(Reason) -> RequestHead {
    let bytes = [UInt8](received)
    var rest = bytes[...]
    let line = try RequestLine(RequestParser.removeLine(from: &rest))
    var fields: [RequestHead.Field] = []
    fields.reserveCapacity(lineCount - 1)
    for _ in 1..<lineCount {
      fields.append(try RequestFields.field(RequestParser.removeLine(from: &rest)))
    }
    let head = RequestHead(bytes: bytes, line: line, fields: fields)
    try RequestFields.check(head)
    return head
  }

  /// The first line without its line end.
  private static func removeLine(from rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard let end = rest.firstIndex(of: ASCII.lineFeed) else {
      preconditionFailure("scan counted lines that are not there")
    }
    let line = rest[..<end]
    rest = rest[(end + 1)...]
    return line.last == ASCII.carriageReturn ? line.dropLast() : line
  }
}

extension RequestParser {
  /// Why a request is refused.
  enum Reason: Error, Equatable {
    case malformed, headTooLarge, tooManyFields, unsupportedVersion, bodyNotAllowed, missingHost
    case unexpectedBytes

    /// The status to answer with.
    var status: Int {
      switch self {
      case .headTooLarge, .tooManyFields: 431
      case .unsupportedVersion: 505
      case .malformed, .bodyNotAllowed, .missingHost, .unexpectedBytes: 400
      }
    }

    /// One line that tells the client's author what to change.
    var text: StaticString {
      switch self {
      case .malformed: "malformed request"
      case .headTooLarge: "request head over 48 KiB"
      case .tooManyFields: "more than 100 header fields"
      case .unsupportedVersion: "this server speaks HTTP 1.0 and 1.1"
      case .bodyNotAllowed: "no request body allowed"
      case .missingHost: "exactly one Host field needed"
      case .unexpectedBytes: "bytes behind the request head"
      }
    }
  }
}
