extension RequestHead {
  /// The token that came with the request, in `Authorization: Bearer`, the cookie `millstream_token` or the
  /// query field `token`, in this order; nil: none did.
  func token() throws(TokenRefusal) -> [UInt8]? {
    guard count(of: "authorization") <= 1 else { throw .malformed }
    if let token = bearerToken { return token }
    if let token = cookieToken { return token }
    switch PercentEncoding.queryValue("token", in: query ?? []) {
    case .absent: return nil
    case .malformed: throw .malformed
    case .found(let token): return token
    }
  }

  private var bearerToken: [UInt8]? {
    guard let value = value(of: "authorization"),
      ASCII.equalsIgnoringCase(value.prefix(6), "bearer"),
      let separator = value.dropFirst(6).first, ASCII.isBlank(separator)
    else { return nil }
    return Array(value.dropFirst(7).drop(while: ASCII.isBlank))
  }

  /// Of several cookies of this name the first: browsers send the one of the longer path first
  /// (RFC 6265, 5.4).
  private var cookieToken: [UInt8]? {
    for field in values(of: "cookie") {
      for pair in field.split(separator: UInt8(ascii: ";")) {
        let pair = pair.drop(while: ASCII.isBlank)
        guard let end = pair.firstIndex(of: UInt8(ascii: "=")),
          ASCII.equals(pair[..<end], "millstream_token")
        else { continue }
        var value = pair[(end + 1)...]
        while let last = value.last, ASCII.isBlank(last) { value.removeLast() }
        let isQuoted = value.count >= 2 && value.first == 0x22 && value.last == 0x22
        return Array(isQuoted ? value.dropFirst().dropLast() : value)
      }
    }
    return nil
  }
}
