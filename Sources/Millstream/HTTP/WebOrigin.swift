/// An origin as browsers write it in the field `Origin` (RFC 6454, 7): `https://app.example`.
package enum WebOrigin {
  /// Whether a browser can ever send it. One with a slash at its end, without a scheme, in capitals, or with the
  /// port that is its scheme's own is never sent: to allow it would allow nobody.
  package static func isSent(_ text: String) -> Bool {
    if text == "null" { return true }
    let bytes = Array(text.utf8)
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
      bytes[colon...].starts(with: "://".utf8)
    else { return false }
    let scheme = bytes[..<colon]
    guard scheme.first.map(ASCII.isLetter) == true, scheme.allSatisfy(isOfScheme) else {
      return false
    }
    return isHostAndPort(bytes[(colon + 3)...], scheme)
  }

  private static func isOfScheme(_ byte: UInt8) -> Bool {
    (ASCII.isLetter(byte) && byte == ASCII.lowercased(byte)) || ASCII.isDigit(byte)
      || "+-.".utf8.contains(byte)
  }

  /// The colons within brackets are of an IPv6 address.
  private static func isHostAndPort(
    _ bytes: ArraySlice<UInt8>, _ scheme: ArraySlice<UInt8>
  ) -> Bool {
    let afterBrackets = bytes.lastIndex(of: UInt8(ascii: "]")).map { $0 + 1 } ?? bytes.startIndex
    let colon = bytes[afterBrackets...].firstIndex(of: UInt8(ascii: ":"))
    let host = bytes[..<(colon ?? bytes.endIndex)]
    guard afterBrackets == bytes.startIndex || host.endIndex == afterBrackets else { return false }
    guard !host.isEmpty, host.allSatisfy(isOfHost) else { return false }
    guard let colon else { return true }
    let port = bytes[(colon + 1)...]
    return (1...5).contains(port.count) && port.allSatisfy(ASCII.isDigit)
      && !isOwnPort(port, of: scheme)
  }

  /// Visible, and nothing that stands for something else in a URL or a pattern.
  private static func isOfHost(_ byte: UInt8) -> Bool {
    ASCII.isVisible(byte) && byte == ASCII.lowercased(byte)
      && !#"/?#@\*,;"'<>"#.utf8.contains(byte)
  }

  private static func isOwnPort(_ port: ArraySlice<UInt8>, of scheme: ArraySlice<UInt8>) -> Bool {
    (ASCII.equals(scheme, "https") && ASCII.equals(port, "443"))
      || (ASCII.equals(scheme, "http") && ASCII.equals(port, "80"))
  }
}
