import CLibPQ
import Glibc

/// What libpq understands of a connection string, with our own defaults filled in.
struct ConnectionString: Sendable {
  private(set) var options: [(keyword: String, value: String)] = []

  /// Of no settings.
  static let empty = ConnectionString()

  private init() {}

  /// Reads `key=value` pairs or a URL. Settings that are not given come from libpq's environment
  /// variables, as with `psql`.
  ///
  /// - Throws: what libpq says is wrong with it.
  init(_ text: String) throws(ConfigurationError) {
    var message: UnsafeMutablePointer<CChar>?
    guard let parsed = PQconninfoParse(text, &message) else {
      defer { PQfreemem(message) }
      let reason = message.map { String(cString: $0) } ?? "out of memory"
      throw ConfigurationError(
        "the database connection string is not valid: "
          + ConnectionString.withoutValues(reason.trimmed))
    }
    defer { PQconninfoFree(parsed) }
    collect(from: parsed)
    try check()
    collectMissing()
  }

  /// What libpq would complain of when it connects, with what it takes for the host or the port: a piece of
  /// a password that has not been percent-encoded.
  private func check() throws(ConfigurationError) {
    let hosts = (self["host"] ?? "").split(separator: ",")
    guard hosts.allSatisfy({ !$0.dropFirst().contains("@") || $0.hasPrefix("/") }) else {
      throw ConfigurationError(
        "the host of the database connection string has an '@': one in a user or password is %40 in a URL"
      )
    }
    let ports = (self["port"] ?? "").split(separator: ",")
    guard ports.allSatisfy({ UInt16($0) != nil }) else {
      throw ConfigurationError("the port of the database connection string is not a number")
    }
  }

  /// libpq quotes what it complains of, which may be a password or all of the URL. Quoted characters, which
  /// are those that it expects, stay.
  static func withoutValues(_ message: String) -> String {
    let characters = Array(message)
    var index = 0
    while let quote = characters[index...].firstIndex(of: "\"") {
      guard quote + 2 < characters.count, characters[quote + 2] == "\"" else {
        // A quote may be in what is quoted, so only the last one is its end.
        let end = characters.lastIndex(of: "\"") ?? quote
        let rest = end > quote ? characters[(end + 1)...] : []
        return String(characters[..<quote]) + "…" + String(rest)
      }
      index = quote + 3
    }
    return message
  }

  private mutating func collect(from list: UnsafeMutablePointer<PQconninfoOption>) {
    var option = list
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val { set(String(cString: keyword), String(cString: value)) }
      option += 1
    }
  }

  /// The host decides whether names have to be resolved, so its default is looked up here.
  private mutating func collectMissing() {
    for (keyword, variable) in [("host", "PGHOST"), ("hostaddr", "PGHOSTADDR"), ("port", "PGPORT")]
    where self[keyword] == nil {
      if let value = getenv(variable) { set(keyword, String(cString: value)) }
    }
  }

  subscript(keyword: String) -> String? {
    options.first { $0.keyword == keyword }?.value
  }

  mutating func set(_ keyword: String, _ value: String) {
    options.removeAll { $0.keyword == keyword }
    options.append((keyword, value))
  }

  /// Sets what was not set.
  mutating func setDefault(_ keyword: String, _ value: String) {
    if self[keyword] == nil { set(keyword, value) }
  }

  /// The hosts whose addresses have to be found: all, unless they are given or none is a name.
  var hostsToResolve: [String] {
    guard self["hostaddr"] == nil, let host = self["host"] else { return [] }
    let hosts = host.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    return hosts.contains(where: ConnectionString.isName) ? hosts : []
  }

  private static func isName(_ host: String) -> Bool {
    var address = in6_addr()
    if host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@") { return false }
    return inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1
  }

  /// Lists every address of every host, so that libpq has no name to look up. The names stay beside
  /// them: certificates are checked against them.
  mutating func setAddresses(_ addresses: [[String]]) {
    let hosts = hostsToResolve
    let ports = (self["port"] ?? "").split(separator: ",", omittingEmptySubsequences: false)
    var rows: [(host: String, address: String, port: String)] = []
    for (index, host) in hosts.enumerated() {
      let port = String(ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : "")
      let own = ConnectionString.isName(host) ? addresses[index] : [""]
      for address in own { rows.append((host, address, port)) }
    }
    guard !rows.isEmpty else { return }
    set("host", rows.map(\.host).joined(separator: ","))
    set("hostaddr", rows.map(\.address).joined(separator: ","))
    if !ports.isEmpty { set("port", rows.map(\.port).joined(separator: ",")) }
  }

  /// The same hosts, beginning with another one: libpq tries them in order, and has no time limit for
  /// any of them when it does not wait itself, so a first one that is dead would hide the others.
  mutating func rotateHosts(by count: Int) {
    let keywords = ["host", "hostaddr", "port"]
    let lists = keywords.map {
      (self[$0] ?? "").split(separator: ",", omittingEmptySubsequences: false)
    }
    let hosts = max(lists[0].count, lists[1].count)
    // One port is for all hosts.
    for (keyword, list) in zip(keywords, lists) where list.count == hosts && hosts > 1 {
      let first = count % hosts
      set(keyword, (list[first...] + list[..<first]).joined(separator: ","))
    }
  }

  /// Calls `body` with the arrays that `PQconnectStartParams` takes.
  func withParameters<Result>(
    _ body: (UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<UnsafePointer<CChar>?>) -> Result
  ) -> Result {
    let copies = options.map { (strdup($0.keyword), strdup($0.value)) }
    defer {
      for copy in copies {
        free(copy.0)
        free(copy.1)
      }
    }
    let keywords = copies.map { UnsafePointer($0.0) } + [nil]
    let values = copies.map { UnsafePointer($0.1) } + [nil]
    return body(keywords, values)
  }
}

extension Configuration {
  /// - Throws: what is wrong with a connection string, without a value that is in it.
  package static func check(connectionString: String) throws(ConfigurationError) {
    _ = try ConnectionString(connectionString)
  }
}

extension String {
  /// Without white space and line ends at either end: libpq's messages end in one.
  var trimmed: String {
    var text = self[...]
    while text.last?.isWhitespace == true { text.removeLast() }
    while text.first?.isWhitespace == true { text.removeFirst() }
    return String(text)
  }
}
