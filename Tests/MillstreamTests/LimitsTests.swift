import Testing

@testable import Millstream

@Suite struct NetworkAddressTests {
  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("::1", "::1"),
    ("2001:DB8:0:0::1", "2001:db8::1"), ("0.0.0.0", "0.0.0.0"), ("::", "::"),
  ])
  func isWrittenAsUsual(text: String, usual: String) throws {
    #expect("\(try #require(NetworkAddress(text.utf8)))" == usual)
  }

  @Test(arguments: [
    "", "192.0.2", "192.0.2.256", "192.0.2.1 ", "2001:db8::1%eth0", ":::", "unknown", "1::2::3",
    "192.0.2.1\u{0}", "1:2:3:4:5:6:7:8:9", String(repeating: "1", count: 100),
  ])
  func otherTextIsNone(text: String) {
    #expect(NetworkAddress(text.utf8) == nil)
  }

  @Test(arguments: [
    ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"), ("::1", "::"), ("192.0.2.77", "192.0.2.77"),
  ])
  func oneClientHasAllOfASixtyFour(text: String, group: String) throws {
    #expect("\(try #require(NetworkAddress(text.utf8)).countedGroup)" == group)
  }
}

@Suite struct TrustedProxyTests {
  @Test(arguments: [
    ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false),
    ("10.1.2.3/8", "10.9.9.9", true), ("192.0.2.1", "192.0.2.1", true),
    ("192.0.2.1", "192.0.2.2", false), ("192.0.2.0/31", "192.0.2.1", true),
    ("192.0.2.0/31", "192.0.2.2", false), ("0.0.0.0/0", "203.0.113.9", true),
    ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "203.0.113.9", false),
    ("::/0", "2001:db8::1", true), ("fd00::/8", "fdff:1::2", true), ("fd00::/8", "fc00::1", false),
    ("2001:db8::/65", "2001:db8:0:0:7fff::", true), ("2001:db8::/65", "2001:db8:0:0:8000::", false),
    ("2001:db8::/64", "2001:db8::ffff:1", true), ("::1", "::1", true), ("::1", "::2", false),
    ("::ffff:10.0.0.0/8", "10.0.0.1", true), ("unix", "127.0.0.1", false),
  ])
  func rangeHasItsAddresses(range: String, address: String, isIn: Bool) throws {
    let address = try #require(NetworkAddress(address.utf8))
    #expect(try TrustedProxy(range).matches(address) == isIn)
  }

  @Test func onlyUnixIsWithoutAnAddress() throws {
    #expect(try TrustedProxy("unix").matches(nil))
    #expect(try !TrustedProxy("::/0").matches(nil))
    #expect(try !TrustedProxy("0.0.0.0/0").matches(nil))
  }

  @Test(arguments: [
    "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "fd00::/129",
    "10.0.0.0/+8",
    "localhost", "Unix", "10.0.0.0/0008", "10.0.0.0 /8",
  ])
  func otherTextIsRefused(text: String) {
    #expect(throws: ConfigurationError.self) { try TrustedProxy(text) }
  }
}

@Suite struct ForwardedForTests {
  private let proxies: [TrustedProxy]

  init() throws {
    proxies = try ["10.0.0.0/8", "fd00::/8", "unix"].map { text throws in try TrustedProxy(text) }
  }

  private func client(_ peer: String?, _ values: String...) -> String? {
    let peer = peer.flatMap { NetworkAddress($0.utf8) }
    return ForwardedFor.client(peer: peer, values.map { Array($0.utf8)[...] }, proxies)
      .map { "\($0)" }
  }

  @Test func rightmostThatIsNoProxyIsTheClient() {
    #expect(client("10.0.0.1", "192.0.2.1") == "192.0.2.1")
    #expect(client("10.0.0.1", "198.51.100.9, 192.0.2.1") == "192.0.2.1")
    #expect(client("10.0.0.1", "198.51.100.9, 192.0.2.1,10.0.0.2,\tfd00::5") == "192.0.2.1")
    #expect(client(nil, "192.0.2.1") == "192.0.2.1")
  }

  @Test func fieldsGoOnInOneAnother() {
    #expect(client("10.0.0.1", "192.0.2.1", "10.0.0.3") == "192.0.2.1")
    #expect(client("10.0.0.1", "192.0.2.1", "198.51.100.9") == "198.51.100.9")
  }

  @Test func nobodyElseIsBelieved() {
    #expect(client("192.0.2.9", "198.51.100.9") == "192.0.2.9")
    #expect(client("10.0.0.1") == "10.0.0.1")
    #expect(client(nil) == nil)
  }

  @Test func whereAllAreProxiesItIsTheFirst() {
    #expect(client("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3")
  }

  @Test(arguments: ["unknown", "", " ", "_hidden", "192.0.2.1, ", "192.0.2.1, evil\u{7f}", ","])
  func whatIsNoAddressEndsIt(value: String) {
    #expect(client("10.0.0.1", value) == "10.0.0.1")
    #expect(client("10.0.0.1", value + ", 10.0.0.7") == "10.0.0.7")
  }

  @Test(arguments: [
    ("192.0.2.1:4711", "192.0.2.1"), ("[2001:db8::1]:4711", "2001:db8::1"),
    ("[2001:db8::1]", "2001:db8::1"), ("2001:db8::1", "2001:db8::1"),
  ])
  func mayHaveAPort(entry: String, address: String) {
    #expect(client("10.0.0.1", entry) == address)
  }

  @Test func longListIsNotFollowedToItsEnd() {
    let list = "192.0.2.1" + String(repeating: ",10.0.0.2", count: 1_000)
    #expect(client("10.0.0.1", list) == "10.0.0.2")
  }
}

@Suite struct TokenBucketTests {
  @Test func letsSoManyInWithinASecond() {
    var bucket = TokenBucket()
    func taken(_ nowMs: Int64) -> Int {
      (0..<100).count { _ in bucket.take(ratePerSecond: 10, nowMs: nowMs) }
    }
    #expect(taken(5_000) == 10)
    #expect(taken(5_099) == 0)
    #expect(taken(5_100) == 1)
    #expect(taken(5_650) == 5)
    #expect(taken(5_700) == 1, "what was left over counts")
    #expect(taken(900_000) == 10)
    #expect(taken(899_000) == 0, "a clock does not go back, but if it did")
  }

  @Test func anotherRateCountsAtOnce() {
    var bucket = TokenBucket()
    #expect((0..<100).count { _ in bucket.take(ratePerSecond: 50, nowMs: 0) } == 50)
    #expect((0..<100).count { _ in bucket.take(ratePerSecond: 3, nowMs: 60_000) } == 3)
  }
}

@Suite struct ConnectionCountsTests {
  private let counts = ConnectionCounts()

  @Test func placesComeBack() {
    var first: Admission? = Admission(counts)
    let second = Admission(counts)
    #expect(first?.take(.member(Array("ann".utf8)), upTo: 2) == true)
    #expect(second.take(.member(Array("ann".utf8)), upTo: 2))
    #expect(!second.take(.member(Array("ann".utf8)), upTo: 2))
    #expect(second.take(.stream(.native, [1]), upTo: 1))
    #expect(counts.count(of: .member(Array("ann".utf8))) == 2)
    first = nil
    #expect(counts.count(of: .member(Array("ann".utf8))) == 1)
    #expect(counts.keyCount == 2)
  }

  @Test func nothingIsKeptOfWhatIsGone() {
    for number in 0..<1_000 {
      _ = Admission(counts).take(.member(Array("\(number)".utf8)), upTo: 1)
    }
    #expect(counts.keyCount == 0)
  }

  @Test func patternIsCountedAndNotRefused() {
    let admission = Admission(counts)
    admission.joined(.native, [1])
    #expect(counts.keyCount == 0)
    admission.countsStreams = true
    admission.joined(.native, [1])
    admission.joined(.native, [1])
    #expect(counts.count(of: .stream(.native, [1])) == 2)
  }
}

@Suite struct RequestIDTests {
  @Test(arguments: ["a", "req-4711/x", String(repeating: "x", count: 64), "{json}"])
  func clientsOwnIsTaken(text: String) {
    #expect(RequestID(Array(text.utf8)[...]).text == text)
  }

  @Test(arguments: [
    "", String(repeating: "x", count: 65), "a b", "a\"b", "a'b", "ä", "a\u{7f}", "a\tb",
  ])
  func whatCannotBeSaidIsReplaced(text: String) {
    let id = RequestID(Array(text.utf8)[...])
    #expect(id.given == nil && id.text.count == 10)
  }

  @Test func connectionsNameBeginsWithIt() {
    let mint = ConnectionIDMint()
    let id = RequestID()
    let connection = mint.make(for: 77, seed: id.seed)
    #expect("\(connection)".hasPrefix(id.text))
    #expect(RequestID.text(of: connection) == id.text)
    #expect(mint.slot(of: connection) == 77)
  }
}

@Suite struct GateTests {
  private static let address = "192.0.2.1"

  private func gate(
    _ counts: ConnectionCounts = ConnectionCounts(),
    _ change: (inout EndpointConfiguration) -> Void
  ) -> Gate {
    var configuration = EndpointConfiguration()
    change(&configuration)
    return Gate(configuration, counts)
  }

  private func arrival(_ gate: Gate, _ fields: String...) throws -> Arrival {
    let text = (["GET / HTTP/1.1", "Host: x"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    return gate.arrival(try requestHead(text), from: NetworkAddress(Self.address.utf8))
  }

  @Test func nothingIsRememberedWithoutNeed() throws {
    let gate = gate { _ in }
    var arrival = try arrival(gate, "X-Forwarded-For: 198.51.100.1")
    #expect(gate.enter(&arrival, nowMs: 0) == nil)
    #expect(gate.seat(&arrival, "ann", Self.subscription("a")) == nil)
    #expect(arrival.admission == nil)
    #expect("\(try #require(arrival.address))" == Self.address)
  }

  @Test func addressThatAProxySaysIsRemembered() throws {
    let proxy = try TrustedProxy(Self.address)
    let arrival = try arrival(gate { $0.trustedProxies = [proxy] }, "X-Forwarded-For: 198.51.100.1")
    #expect(arrival.admission?.forwardedAddress == arrival.address)
    #expect("\(try #require(arrival.address))" == "198.51.100.1")
  }

  @Test func refusedStreamsLeaveTheOthers() throws {
    let gate = gate { $0.limits.perStream = 1 }
    var first = try arrival(gate)
    #expect(gate.seat(&first, nil, Self.subscription("a")) == nil)
    var set = try Self.set("a", "b")
    var second = try arrival(gate)
    #expect(gate.seat(&second, &set) == nil)
    #expect(set.refusals.map(\.reason) == [.stream] && set.refusals.map(\.name) == ["a"])
    #expect(set.entries == [.refused(status: 503), .stream(name: "b")])
    #expect(set.subscriptions.map(\.name) == ["b"])
    var third = try arrival(gate)
    #expect(gate.seat(&third, nil, Self.subscription("b")) == .stream)
    var fourth = try arrival(gate)
    var both = try Self.set("a", "b")
    #expect(gate.seat(&fourth, &both) == .stream)
  }

  @Test func setIsOneConnectionOfItsMember() throws {
    let counts = ConnectionCounts()
    let gate = gate(counts) { $0.limits.perMember = 1 }
    var arrival = try arrival(gate)
    var set = try Self.set("a", "b")
    for index in set.subscriptions.indices {
      set.subscriptions[index].context = ConnectionContext(member: "ann")
    }
    #expect(gate.seat(&arrival, &set) == nil)
    #expect(counts.count(of: .member(Array("ann".utf8))) == 1)
    var other = try self.arrival(gate)
    #expect(gate.seat(&other, "ann", Self.subscription("a")) == .member)
    #expect(gate.seat(&other, nil, Self.subscription("a")) == nil)
  }

  /// The application may say of each stream that it is somebody else's.
  @Test func setCountsForEachOfItsMembers() throws {
    let counts = ConnectionCounts()
    let gate = gate(counts) { $0.limits.perMember = 1 }
    var arrival = try arrival(gate)
    var set = try Self.set("a", "b", "c")
    for (index, member) in ["ann", "bob", "ann"].enumerated() {
      set.subscriptions[index].context = ConnectionContext(member: member)
    }
    #expect(gate.seat(&arrival, &set) == nil)
    var other = try self.arrival(gate)
    #expect(gate.seat(&other, "bob", Self.subscription("a")) == .member)
    arrival.admission = nil
    #expect(counts.keyCount == 0)
  }

  /// Two names that look the same are two.
  @Test func membersAreCountedByTheirBytes() throws {
    let gate = gate { $0.limits.perMember = 1 }
    var first = try arrival(gate)
    var second = try arrival(gate)
    #expect(gate.seat(&first, "Jos\u{e9}", Self.subscription("a")) == nil)
    #expect(gate.seat(&second, "Jose\u{301}", Self.subscription("a")) == nil)
  }

  @Test func nobodyEntersTwice() throws {
    let counts = ConnectionCounts()
    let gate = gate(counts) {
      $0.limits.perAddress = 1
      $0.limits.acceptsPerSecond = 1
    }
    var first = try arrival(gate)
    for _ in 0..<3 { #expect(gate.enter(&first, nowMs: 0) == nil) }
    var second = try arrival(gate)
    #expect(gate.enter(&second, nowMs: 0) == .address)
  }

  @Test(arguments: [
    (SoftRefusals.always, true, true), (.native, false, true), (.never, false, false),
  ])
  func softnessIsForSomeStores(soft: SoftRefusals, pgmq: Bool, native: Bool) {
    let gate = gate { $0.refusesSoftly = soft }
    #expect(gate.refusesSoftly(.pgmq) == pgmq)
    #expect(gate.refusesSoftly(.native) == native && gate.refusesSoftly(.host) == native)
  }

  @Test(arguments: [
    (RefusalReason.full, 503), (.draining, 503), (.address, 429), (.member, 429), (.stream, 503),
    (.rate, 503), (.unavailable, 503),
  ])
  func refusalsSayWhenToComeAgain(reason: RefusalReason, status: Int) {
    let hard = HTTPResponse.refusing(reason)
    #expect(hard.status == status && hard.fields.contains { $0 == ("retry-after", "2") })
    let soft = hard.softened(retryMs: 1234)
    #expect(soft.status == 200 && soft.fields[0].value == "text/event-stream")
    #expect(soft.body == Array("retry: 1234\n\n: ".utf8) + hard.body + [0x0a])
    #expect(soft.body.suffix(2) == [0x0a, 0x0a])
  }

  private static func subscription(_ name: String) -> Subscription {
    Subscription(
      store: .native, name: name, storageName: Array(name.utf8), channels: [], cursor: .none,
      head: [])
  }

  private static func set(_ names: String...) throws -> SubscriptionSet {
    let query = Array(names.map { "s=\($0)" }.joined(separator: "&").utf8)
    let cursor = try #require(SetCursor(lastEventID: nil, query: StreamSetQuery(query[...])))
    var set = SubscriptionSet(store: .native, head: [], cursor: cursor)
    for name in names { set.add(subscription(name)) }
    return set
  }
}
