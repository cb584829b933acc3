/// The lines behind the request line: `name ":" OWS value OWS` (RFC 9112, 5).
enum RequestFields {
  /// Reads one line, which comes without its line end.
  ///
  /// A line that begins with a blank, which once continued the line before it, has no token for a
  /// name and is refused like every other oddity (RFC 9112, 5.2).
  static func field(_ line: ArraySlice<UInt8>) throws(RequestParser.Reason) -> RequestHead.Field {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
      line[..<colon].allSatisfy(ASCII.isToken)
    else { throw .malformed }
    var value = line[(colon + 1)...]
    while let byte = value.first, ASCII.isBlank(byte) { value.removeFirst() }
    while let byte = value.last, ASCII.isBlank(byte) { value.removeLast() }
    return RequestHead.Field(
      nameStart: UInt16(line.startIndex), nameEnd: UInt16(colon),
      valueStart: UInt16(value.startIndex), valueEnd: UInt16(value.endIndex))
  }

  /// What the fields must agree on before anyone looks at the path.
  static func check(_ head: RequestHead) throws(RequestParser.Reason) {
    let hosts = head.count(of: "host")
    guard hosts == 1 || (hosts == 0 && head.minorVersion == 0) else { throw .missingHost }
    guard head.allValues(of: "host", satisfy: HostField.isValid) else { throw .malformed }
    // A body that nobody reads would be taken for the next request: none is let in at all.
    guard head.count(of: "transfer-encoding") == 0,
      head.allValues(of: "content-length", satisfy: isZero)
    else { throw .bodyNotAllowed }
  }

  private static func isZero(_ value: ArraySlice<UInt8>) -> Bool {
    !value.isEmpty && value.allSatisfy { $0 == UInt8(ascii: "0") }
  }
}

/// `Host`: the authority without userinfo; may be empty (RFC 9112, 3.2).
enum HostField {
  /// Whether the value can be a host and port; it is not resolved, so the bytes are enough.
  static func isValid(_ value: ArraySlice<UInt8>) -> Bool {
    value.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "@"),
        UInt8(ascii: "\\"), UInt8(ascii: ","), UInt8(ascii: "\""), UInt8(ascii: "<"),
        UInt8(ascii: ">"):
        false
      default:
        ASCII.isVisible(byte)
      }
    }
  }
}
