/// A proxy whose `X-Forwarded-For` is believed.
public struct TrustedProxy: Sendable, CustomStringConvertible {
  private enum Kind: Sendable {
    case unixSocket
    case range(NetworkAddress, bits: Int)
  }

  private let kind: Kind
  /// The text it was made of.
  public let description: String

  private static let addressBits = 128
  /// Of these an IPv4 address has the last 32.
  private static let mappedBits = 96

  /// An address (`10.0.0.1`, `fd00::1`), a range of them (`10.0.0.0/8`, `fd00::/8`), or whoever comes by a
  /// Unix socket (`unix`).
  ///
  /// - Throws: that the text is none of them.
  public init(_ text: String) throws(ConfigurationError) {
    description = text
    if text == "unix" {
      kind = .unixSocket
      return
    }
    let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = NetworkAddress(parts[0]) else {
      throw ConfigurationError("'\(text)' is not an address, a range like 10.0.0.0/8, or 'unix'")
    }
    let skipped = address.isIPv4 ? TrustedProxy.mappedBits : 0
    var bits = TrustedProxy.addressBits
    if parts.count == 2 {
      guard parts[1].count <= 3, parts[1].allSatisfy(ASCII.isDigit),
        let length = Int(String(decoding: parts[1], as: UTF8.self)),
        length <= TrustedProxy.addressBits - skipped
      else {
        throw ConfigurationError(
          "'\(text)' has to have 0 to \(TrustedProxy.addressBits - skipped) behind the slash")
      }
      bits = skipped + length
    }
    kind = .range(address, bits: bits)
  }

  /// Whether it is this one; nil: whoever has no address.
  func matches(_ address: NetworkAddress?) -> Bool {
    switch (kind, address) {
    case (.unixSocket, nil): return true
    case (.unixSocket, _), (.range, nil): return false
    case (.range(let base, let bits), let address?):
      // What IPv6 maps is of no range of IPv6's.
      guard base.isIPv4 == address.isIPv4 else { return false }
      return (base.high ^ address.high) & TrustedProxy.mask(bits) == 0
        && (base.low ^ address.low) & TrustedProxy.mask(bits - 64) == 0
    }
  }

  /// The upper `bits` of 64; fewer than none is none.
  private static func mask(_ bits: Int) -> UInt64 {
    bits <= 0 ? 0 : ~UInt64(0) << UInt64(64 - min(bits, 64))
  }
}

extension [TrustedProxy] {
  /// Whether what comes from there is believed; nil: from whoever has no address.
  func trust(_ address: NetworkAddress?) -> Bool { contains { $0.matches(address) } }
}
