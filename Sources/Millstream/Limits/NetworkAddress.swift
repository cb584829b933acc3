import Glibc

/// An address without a port, of 16 bytes: an IPv4 one as IPv6 maps it (RFC 4291, 2.5.5.2), so that a client
/// is the same by whichever socket it comes.
struct NetworkAddress: Hashable, Sendable {
  let high: UInt64
  let low: UInt64

  private static let mappedPrefix: UInt64 = 0xffff
  private static let longestText = 45

  init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The address that is written so; nil: it is none.
  init?(_ text: some Collection<UInt8>) {
    guard text.count <= NetworkAddress.longestText, text.allSatisfy(NetworkAddress.isPart) else {
      return nil
    }
    let characters = text.map { CChar(bitPattern: $0) } + [0]
    var four = in_addr()
    if inet_pton(AF_INET, characters, &four) == 1 {
      self.init(four)
      return
    }
    var six = in6_addr()
    guard inet_pton(AF_INET6, characters, &six) == 1 else { return nil }
    self.init(six)
  }

  /// That of the other side; nil: it has none, as on a Unix socket, or is gone.
  init?(peerOf descriptor: Int32) {
    guard let peer = SocketAddress(peerOf: descriptor) else { return nil }
    self = peer.withName { name, _ in
      let bytes = UnsafeRawPointer(name)
      if peer.family == AF_INET {
        return NetworkAddress(bytes.loadUnaligned(as: sockaddr_in.self).sin_addr)
      }
      return NetworkAddress(bytes.loadUnaligned(as: sockaddr_in6.self).sin6_addr)
    }
  }

  private init(_ address: in_addr) {
    self.init(
      high: 0, low: NetworkAddress.mappedPrefix << 32 | UInt64(UInt32(bigEndian: address.s_addr)))
  }

  private init(_ address: in6_addr) {
    (high, low) = withUnsafeBytes(of: address) { bytes in
      (
        UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
  }

  private static func isPart(_ byte: UInt8) -> Bool {
    Hexadecimal.value(of: byte) != nil || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
  }

  var isIPv4: Bool { high == 0 && low >> 32 == NetworkAddress.mappedPrefix }

  /// What one client has for itself: of IPv6 the /64, in which it can take any address that it likes.
  var countedGroup: NetworkAddress { isIPv4 ? self : NetworkAddress(high: high, low: 0) }
}

extension NetworkAddress: CustomStringConvertible {
  /// As it is usually written.
  var description: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    if isIPv4 {
      var four = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
      inet_ntop(AF_INET, &four, &text, socklen_t(text.count))
    } else {
      var six = (high.bigEndian, low.bigEndian)
      inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
