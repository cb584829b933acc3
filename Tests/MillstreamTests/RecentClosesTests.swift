import Testing

@testable import Millstream

@Suite struct RecentClosesTests {
  private static func subscription(_ name: String, isPattern: Bool = false) -> Subscription {
    var subscription = Subscription(
      store: .native, name: name, storageName: Array(name.utf8), channels: [], cursor: .none,
      head: [])
    subscription.isPattern = isPattern
    return subscription
  }

  private static func stream(_ name: String) -> RecentCloses.Target {
    .stream(.native, storageName: Array(name.utf8))
  }

  private static func recent() -> RecentCloses {
    var recent = RecentCloses()
    recent.keptMs = 1_000
    return recent
  }

  @Test func whatCameAfterTheQuestionHitsIt() {
    var recent = Self.recent()
    recent.add(Self.stream("room:1"), nowMs: 0)
    let seen = recent.count
    #expect(!recent.hit(Self.subscription("room:1"), member: nil, since: seen))
    recent.add(.member(Array("ann".utf8)), nowMs: 1)
    recent.add(Self.stream("room:2"), nowMs: 1)
    #expect(recent.hit(Self.subscription("room:2"), member: nil, since: seen))
    #expect(recent.hit(Self.subscription("room:1"), member: "ann", since: seen))
    #expect(!recent.hit(Self.subscription("room:1"), member: "bob", since: seen))
    #expect(recent.hit(Self.subscription("room:*", isPattern: true), member: nil, since: seen))
    #expect(!recent.hit(Self.subscription("hall:*", isPattern: true), member: nil, since: seen))
    #expect(!recent.hit(Self.subscription("room:*"), member: nil, since: seen), "it is a name")
  }

  @Test func namesThatLookTheSameAreTwo() {
    var recent = Self.recent()
    recent.add(.member(Array("Jos\u{e9}".utf8)), nowMs: 0)
    #expect(!recent.hit(Self.subscription("x"), member: "Jose\u{301}", since: 0))
    #expect(recent.hit(Self.subscription("x"), member: "Jos\u{e9}", since: 0))
  }

  /// A question is not open for longer.
  @Test func whatIsOldIsForgotten() {
    var recent = Self.recent()
    recent.add(Self.stream("a"), nowMs: 0)
    recent.add(Self.stream("b"), nowMs: 1_000)
    #expect(recent.hit(Self.subscription("a"), member: nil, since: 0))
    recent.add(Self.stream("b"), nowMs: 1_001)
    #expect(!recent.hit(Self.subscription("a"), member: nil, since: 0))
    #expect(recent.hit(Self.subscription("b"), member: nil, since: 0))
  }

  @Test func whoeverWasAskedAboutBeforeTooManyIsAskedAboutAgain() {
    var recent = Self.recent()
    for number in 0...RecentCloses.maximumCount { recent.add(Self.stream("\(number)"), nowMs: 0) }
    #expect(recent.hit(Self.subscription("other"), member: nil, since: 0))
    #expect(!recent.hit(Self.subscription("other"), member: nil, since: 1))
    #expect(recent.hit(Self.subscription("1"), member: nil, since: 1))
  }

  /// Without an endpoint nobody asks.
  @Test func nothingIsKeptThatNobodyAsksFor() {
    var recent = RecentCloses()
    recent.add(Self.stream("a"), nowMs: 0)
    #expect(recent.count == 0)
  }
}
