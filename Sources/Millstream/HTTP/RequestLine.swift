/// The first line of a request: `METHOD SP target SP HTTP/1.x` (RFC 9112, 3).
struct RequestLine {
  let method: RequestHead.Method
  let minorVersion: UInt8
  /// The places of path and query in the bytes of the head; see `RequestHead`.
  let path: Range<Int>
  let query: Range<Int>?

  /// Reads the line, which comes without its line end.
  init(_ line: ArraySlice<UInt8>) throws(RequestParser.Reason) {
    // Exactly two spaces: more would stand in the target, which holds visible bytes only.
    guard let first = line.firstIndex(of: ASCII.space), let last = line.lastIndex(of: ASCII.space),
      first < last
    else { throw .malformed }
    minorVersion = try RequestLine.minorVersion(line[(last + 1)...])
    method = try RequestLine.method(line[..<first])
    (path, query) = try RequestLine.target(line[(first + 1)..<last])
  }

  private static func method(
    _ name: ArraySlice<UInt8>
  ) throws(RequestParser.Reason) -> RequestHead.Method {
    guard !name.isEmpty, name.allSatisfy(ASCII.isToken) else { throw .malformed }
    if ASCII.equals(name, "GET") { return .get }
    if ASCII.equals(name, "HEAD") { return .head }
    if ASCII.equals(name, "OPTIONS") { return .options }
    if ASCII.equals(name, "POST") { return .post }
    return .other
  }

  /// `HTTP/` digit `.` digit, in capitals (RFC 9112, 2.3).
  private static func minorVersion(
    _ version: ArraySlice<UInt8>
  ) throws(RequestParser.Reason) -> UInt8 {
    if ASCII.equals(version, "HTTP/1.1") { return 1 }
    if ASCII.equals(version, "HTTP/1.0") { return 0 }
    let numbers = version.dropFirst(5)
    guard numbers.count == 3, ASCII.equals(version.prefix(5), "HTTP/"),
      let major = numbers.first, ASCII.isDigit(major), let minor = numbers.last,
      ASCII.isDigit(minor), numbers[numbers.startIndex + 1] == UInt8(ascii: ".")
    else { throw .malformed }
    throw .unsupportedVersion
  }

  /// origin-form (`/path?query`) or absolute-form (`http://host/path?query`); the other forms are
  /// for proxies and for the server as a whole, which this one does not answer. A fragment is
  /// never sent (RFC 9110, 4.2.5).
  private static func target(
    _ target: ArraySlice<UInt8>
  ) throws(RequestParser.Reason) -> (path: Range<Int>, query: Range<Int>?) {
    guard target.allSatisfy({ ASCII.isVisible($0) && $0 != UInt8(ascii: "#") }) else {
      throw .malformed
    }
    let origin = try withoutAuthority(target)
    guard let mark = origin.firstIndex(of: UInt8(ascii: "?")) else {
      return (origin.indices, nil)
    }
    return (origin.startIndex..<mark, (mark + 1)..<origin.endIndex)
  }

  /// The target from its path on: that is all of it, or what follows scheme and host.
  private static func withoutAuthority(
    _ target: ArraySlice<UInt8>
  ) throws(RequestParser.Reason) -> ArraySlice<UInt8> {
    if target.first == UInt8(ascii: "/") { return target }
    let rest: ArraySlice<UInt8>
    if ASCII.equalsIgnoringCase(target.prefix(7), "http://") {
      rest = target.dropFirst(7)
    } else if ASCII.equalsIgnoringCase(target.prefix(8), "https://") {
      rest = target.dropFirst(8)
    } else {
      throw .malformed
    }
    let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
    let authority = rest[..<(end ?? rest.endIndex)]
    guard !authority.isEmpty, HostField.isValid(authority) else { throw .malformed }
    return rest[authority.endIndex...]
  }
}
