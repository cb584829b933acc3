import ArgumentParser

/// Where an event stream is: `http://host[:port]/path[?query]`.
struct TailURL: Equatable {
  let host: String
  let port: String
  /// Path and query, as they go into the request.
  let target: String

  /// As the `Host` field has it: with the brackets of an IPv6 address.
  var authority: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == "80" ? name : "\(name):\(port)"
  }

  /// - Throws: `ValidationError` that says what is wrong with it.
  init(_ text: String) throws(ValidationError) {
    let lowercased = text.lowercased()
    if lowercased.hasPrefix("https://") {
      throw ValidationError(
        "https is not supported: tail the server itself, behind what terminates TLS, with http://")
    }
    guard lowercased.hasPrefix("http://"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      throw ValidationError("'\(text)' is not a URL of the form http://host:port/path")
    }
    let rest = text.dropFirst("http://".count).prefix { $0 != "#" }
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    (host, port) = try TailURL.hostAndPort(rest[..<end], of: text)
    target = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
  }

  private static func hostAndPort(
    _ authority: Substring, of text: String
  ) throws(ValidationError) -> (String, String) {
    var name = authority
    var port: Substring = "80"
    // A colon within brackets belongs to an IPv6 address.
    if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
      (name, port) = (authority[..<colon], authority[authority.index(after: colon)...])
    }
    if name.hasPrefix("[") && name.hasSuffix("]") { name = name.dropFirst().dropLast() }
    guard !name.isEmpty, !name.contains("@"), let number = UInt16(port), number > 0 else {
      throw ValidationError("'\(text)' has no host, a user, or no valid port")
    }
    return (String(name), String(number))
  }

  /// The path's segment that is `name`, byte for byte.
  static func percentEncoded(_ name: String) -> String {
    name.utf8.map { byte in
      let isPlain =
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
      if isPlain { return String(Unicode.Scalar(byte)) }
      let hex = String(byte, radix: 16, uppercase: true)
      return hex.count == 1 ? "%0" + hex : "%" + hex
    }.joined()
  }
}
