@testable import Millstream

/// Any bytes: where a connection is from, the proxies that are trusted, and what they have said, in lines.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzAddresses(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  var lines = bytes.split(separator: ASCII.lineFeed, omittingEmptySubsequences: false)[...]
  let peer = lines.popFirst().flatMap { NetworkAddress($0) }
  let texts = lines.popFirst()?.split(separator: ASCII.space) ?? []
  let proxies = texts.compactMap { try? TrustedProxy(String(decoding: $0, as: UTF8.self)) }
  checkForwarded(peer, Array(lines), proxies)
  if let peer {
    checkSpellings(of: peer)
    proxies.forEach { checkRange($0, peer) }
  }
  checkHost(bytes)
  return 0
}

/// What stands left of an address that is not trusted, whoever sends the request has made up.
private func checkForwarded(
  _ peer: NetworkAddress?, _ values: [ArraySlice<UInt8>], _ proxies: [TrustedProxy]
) {
  precondition(ForwardedFor.client(peer: peer, values, []) == peer, "somebody else is believed")
  let client = ForwardedFor.client(peer: peer, values, proxies)
  guard !proxies.trust(client) else { return }
  let madeUp = Array("192.0.2.99".utf8)
  precondition(ForwardedFor.client(peer: peer, [madeUp[...]] + values, proxies) == client)
  guard let first = values.first else { return }
  let longer = [(madeUp + [UInt8(ascii: ",")] + first)[...]] + values.dropFirst()
  precondition(ForwardedFor.client(peer: peer, longer, proxies) == client, "a client names itself")
}

/// An address is read as it is written, also by a proxy that writes a port behind it.
private func checkSpellings(of address: NetworkAddress) {
  let text = "\(address)"
  precondition(NetworkAddress(text.utf8) == address, "it is read otherwise than it is written")
  guard let proxy = try? TrustedProxy("unix") else { preconditionFailure("there is no such proxy") }
  for entry in [text, address.isIPv4 ? "\(text):4711" : "[\(text)]:4711", "[\(text)]"] {
    let client = ForwardedFor.client(peer: nil, [Array(" \(entry)\t".utf8)[...]], [proxy])
    precondition(client == address, "\(entry) is read otherwise")
  }
  precondition(address.countedGroup.countedGroup == address.countedGroup)
}

/// Bit by bit.
private func checkRange(_ proxy: TrustedProxy, _ address: NetworkAddress) {
  let parts = proxy.description.split(separator: "/")
  guard let base = NetworkAddress(parts[0].utf8) else {
    precondition(!proxy.matches(address), "one without an address has this one")
    return
  }
  let skipped = base.isIPv4 ? 96 : 0
  let length = parts.count == 2 ? skipped + Int(parts[1])! : 128
  let isSame = zip(bits(base), bits(address)).prefix(length).allSatisfy { $0 == $1 }
  precondition(proxy.matches(address) == (isSame && base.isIPv4 == address.isIPv4))
  precondition(proxy.matches(base) && !proxy.matches(nil))
}

private func bits(_ address: NetworkAddress) -> [Bool] {
  [address.high, address.low].flatMap { half in (0..<64).map { half >> (63 - $0) & 1 == 1 } }
}

/// A page of somebody else's comes with a name of its own.
private func checkHost(_ bytes: [UInt8]) {
  guard HostField.isValid(bytes[...]) else { return }
  let host = String(decoding: bytes, as: UTF8.self)
  guard AdminHosts().allow(host), !host.lowercased().hasPrefix("localhost") else { return }
  let name = host.first == "[" ? host.dropFirst().prefix { $0 != "]" } : host.prefix { $0 != ":" }
  precondition(NetworkAddress(name.utf8) != nil, "\(host) is allowed")
  precondition(AdminHosts([String(name)]).allow(host))
}
