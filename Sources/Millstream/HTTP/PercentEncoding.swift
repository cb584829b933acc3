/// Percent-encoding (RFC 3986, 2.1), and the pairs of a query.
enum PercentEncoding {
  /// The bytes with each `%` and its two hexadecimal digits made one byte; nil when a `%` has no
  /// two such digits behind it. `%00` gives a byte 0, which the caller has to judge. A `+` stays
  /// what it is, except in forms.
  static func decode(_ bytes: some Collection<UInt8>, plusIsSpace: Bool = false) -> [UInt8]? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var rest = bytes.makeIterator()
    while let byte = rest.next() {
      if byte == UInt8(ascii: "%") {
        guard let high = rest.next().flatMap(Hexadecimal.value),
          let low = rest.next().flatMap(Hexadecimal.value)
        else { return nil }
        decoded.append(high << 4 | low)
      } else {
        decoded.append(plusIsSpace && byte == UInt8(ascii: "+") ? ASCII.space : byte)
      }
    }
    return decoded
  }

  /// The bytes, with what is not visible ASCII, and `%`, encoded.
  static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    for byte in bytes {
      if ASCII.isVisible(byte) && byte != UInt8(ascii: "%") {
        text.append(byte)
      } else {
        text.append(UInt8(ascii: "%"))
        text.append(contentsOf: Hexadecimal.encode(CollectionOfOne(byte)))
      }
    }
    return text
  }

  enum QueryValue: Equatable {
    case absent
    /// The name is there, but its value is not well-formed percent-encoding.
    case malformed
    case found([UInt8])
  }

  /// The value behind `name=` in a query, decoded as forms are (WHATWG URL: `+` is a space).
  ///
  /// Of several the last counts, as in Rack, which pgbus's own endpoint reads it with. The name
  /// has to be spelled without percent-encoding; a name without `=` has the empty value.
  static func queryValue(
    _ name: StaticString, in query: some BidirectionalCollection<UInt8>
  ) -> QueryValue {
    name.withUTF8Buffer { queryValue($0, in: query) }
  }

  static func queryValue(
    _ name: some Collection<UInt8>, in query: some BidirectionalCollection<UInt8>
  ) -> QueryValue {
    let pairs = query.split(separator: UInt8(ascii: "&"))
    for pair in pairs.reversed() {
      let end = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      guard pair[..<end].elementsEqual(name) else { continue }
      guard let value = decode(pair[end...].dropFirst(), plusIsSpace: true) else {
        return .malformed
      }
      return .found(value)
    }
    return .absent
  }
}
