/// What a client asked: the request line and the fields, as one copy of the bytes and the places
/// in them, so that a head costs two allocations however many fields it has.
struct RequestHead: Equatable {
  /// The methods that the endpoint tells apart; methods are case-sensitive (RFC 9110, 9.1).
  enum Method: Equatable { case get, head, options, post, other }

  /// One field; a head is at most 48 KiB, so 16 bits hold every place in it.
  struct Field: Equatable {
    let nameStart, nameEnd, valueStart, valueEnd: UInt16
  }

  let method: Method
  /// The x of HTTP/1.x: 0 or 1.
  let minorVersion: UInt8
  private let bytes: [UInt8]
  private let pathRange: Range<Int>
  private let queryRange: Range<Int>?
  private let fields: [Field]

  /// The path of a target that has none, as in `http://host` (RFC 9112, 3.2.1).
  private static let rootPath: ArraySlice<UInt8> = [UInt8(ascii: "/")]

  init(bytes: [UInt8], line: RequestLine, fields: [Field]) {
    method = line.method
    minorVersion = line.minorVersion
    self.bytes = bytes
    pathRange = line.path
    queryRange = line.query
    self.fields = fields
  }

  /// The path as sent, still percent-encoded; begins with `/`.
  var path: ArraySlice<UInt8> { pathRange.isEmpty ? RequestHead.rootPath : bytes[pathRange] }

  /// What follows the first `?` of the target, as sent; nil without a `?`.
  var query: ArraySlice<UInt8>? { queryRange.map { bytes[$0] } }

  /// The value of the first field of that name in any case, without the blanks around it.
  func value(of name: StaticString) -> ArraySlice<UInt8>? {
    fields.first { isNamed(name, $0) }.map { value(of: $0) }
  }

  /// The same for a name that is known at run time only.
  func value(of name: String) -> ArraySlice<UInt8>? {
    fields.first { field in
      ASCII.equalsIgnoringCase(bytes[Int(field.nameStart)..<Int(field.nameEnd)], name.utf8)
    }.map { value(of: $0) }
  }

  /// The values of all fields of that name.
  func values(of name: String) -> [ArraySlice<UInt8>] {
    fields.filter { field in
      ASCII.equalsIgnoringCase(bytes[Int(field.nameStart)..<Int(field.nameEnd)], name.utf8)
    }.map { value(of: $0) }
  }

  /// How many field lines have that name.
  func count(of name: StaticString) -> Int {
    fields.count { isNamed(name, $0) }
  }

  /// Whether every field of that name has a value that passes; true when there is none.
  func allValues(of name: StaticString, satisfy test: (ArraySlice<UInt8>) -> Bool) -> Bool {
    fields.allSatisfy { !isNamed(name, $0) || test(value(of: $0)) }
  }

  private func isNamed(_ name: StaticString, _ field: Field) -> Bool {
    ASCII.equalsIgnoringCase(bytes[Int(field.nameStart)..<Int(field.nameEnd)], name)
  }

  private func value(of field: Field) -> ArraySlice<UInt8> {
    bytes[Int(field.valueStart)..<Int(field.valueEnd)]
  }
}
