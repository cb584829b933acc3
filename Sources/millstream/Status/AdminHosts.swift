import Glibc

/// Under which names the status page may be asked for. A page of somebody else's whose name was made to
/// lead here (DNS rebinding) comes with its own, and is refused.
struct AdminHosts {
  /// In lower case.
  private let names: Set<String>

  init(_ names: [String] = []) {
    self.names = Set(names.map { $0.lowercased() })
  }

  /// `host`: the field, with or without a port. Browsers always send it.
  func allow(_ host: String?) -> Bool {
    guard let host else { return true }
    let name = AdminHosts.withoutPort(host.lowercased())
    return name == "localhost" || names.contains(name) || AdminHosts.isAddress(name)
  }

  private static func withoutPort(_ host: String) -> String {
    if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
      return String(host[host.index(after: host.startIndex)..<end])
    }
    return String(host.prefix { $0 != ":" })
  }

  private static func isAddress(_ name: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1
  }
}
