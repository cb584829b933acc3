/// `X-Forwarded-For`: each proxy puts the address that it has the request from behind those that it was told.
enum ForwardedFor {
  /// Nobody has more proxies than that; what is before them is not looked at.
  private static let maximumHops = 32

  /// The client's address: the right-most that is none of a trusted proxy's. What stands left of it the client
  /// may have made up. Where a proxy says nothing that is an address, it is the proxy's own.
  ///
  /// `peer`: where the connection is from, nil without an address; `values`: of all fields, as they came.
  static func client(
    peer: NetworkAddress?, _ values: [ArraySlice<UInt8>], _ proxies: [TrustedProxy]
  ) -> NetworkAddress? {
    var address = peer
    var hops = 0
    for value in values.reversed() {
      var rest: ArraySlice<UInt8>? = value
      while let list = rest {
        guard proxies.trust(address), hops < maximumHops else { return address }
        hops += 1
        let comma = list.lastIndex(of: UInt8(ascii: ","))
        let entry = comma.map { list[($0 + 1)...] } ?? list
        guard let next = self.address(entry) else { return address }
        address = next
        rest = comma.map { list[..<$0] }
      }
    }
    return address
  }

  /// An address, with a port or without: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
  private static func address(_ entry: ArraySlice<UInt8>) -> NetworkAddress? {
    var text = entry
    while let byte = text.first, ASCII.isBlank(byte) { text.removeFirst() }
    while let byte = text.last, ASCII.isBlank(byte) { text.removeLast() }
    if text.first == UInt8(ascii: "[") {
      return NetworkAddress(text.dropFirst().prefix { $0 != UInt8(ascii: "]") })
    }
    let colon = UInt8(ascii: ":")
    if let first = text.firstIndex(of: colon), first == text.lastIndex(of: colon) {
      return NetworkAddress(text[..<first])
    }
    return NetworkAddress(text)
  }
}
