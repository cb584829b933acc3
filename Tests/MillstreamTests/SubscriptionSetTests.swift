import Testing

@testable import Millstream

@Suite struct SubscriptionSetTests {
  private static func query(_ text: String) -> StreamSetQuery {
    StreamSetQuery(Array(text.utf8)[...])
  }

  private static func text(_ bytes: (some Collection<UInt8>)?) -> String? {
    bytes.map { String(decoding: $0, as: UTF8.self) }
  }

  private static func subscription(
    _ name: String, _ cursor: CursorRequest = .none, isPattern: Bool = false,
    context: ConnectionContext? = nil
  ) -> Subscription {
    var subscription = Subscription(
      store: .native, name: name, storageName: Array(name.utf8), channels: [], cursor: cursor,
      head: [], context: context)
    subscription.isPattern = isPattern
    return subscription
  }

  private static func set(_ subscriptions: Subscription...) -> SubscriptionSet {
    let cursor = SetCursor(lastEventID: nil, query: query(""))!
    var set = SubscriptionSet(store: .native, head: [], cursor: cursor)
    for subscription in subscriptions { set.add(subscription) }
    return set
  }

  // MARK: The query

  @Test func eachNameHasItsSince() {
    let wishes = SubscriptionSetTests.query("since=9&s=a&since=1&s=b&s=c&since=2&since=3").wishes
    #expect(wishes.map { SubscriptionSetTests.text($0.name) } == ["a", "b", "c"])
    #expect(wishes.map { SubscriptionSetTests.text($0.since) } == ["1", nil, "3"])
  }

  @Test func whatIsEncoded() {
    let query = SubscriptionSetTests.query("s=a+b%26%3d%2B&s=%zz&s=%&s&s=&x=1&S=q&cursor=%41Q")
    #expect(
      query.wishes.map { SubscriptionSetTests.text($0.name) } == ["a b&=+", nil, nil, "", ""])
    #expect(SubscriptionSetTests.text(query.cursor) == "AQ")
  }

  @Test func nothingAtAll() {
    for text in ["", "&", "&&&=&=", "since=1", "cursor", "=s", "ss=a"] {
      #expect(SubscriptionSetTests.query(text).wishes.isEmpty, "<\(text)>")
    }
    #expect(SubscriptionSetTests.query("cursor=%zz").cursor?.isEmpty == true)
  }

  // MARK: The cursor

  @Test func theFieldWinsOverTheQuery() throws {
    var bytes: [UInt8] = []
    var encoder = CursorVector.Encoder(&bytes)
    encoder.append(CursorVector.Key("a".utf8), .init(id: 5, epoch: 7), to: &bytes)
    encoder.finish(&bytes)
    let word = String(decoding: bytes, as: UTF8.self)
    let query = SubscriptionSetTests.query("s=a&since=1&cursor=\(word)")
    let of = { (text: String?) in
      SetCursor(lastEventID: text.map { Array($0.utf8)[...] }, query: query)
    }
    let fromQuery = try #require(of(nil))
    #expect(
      fromQuery.request(for: "a", since: query.wishes[0].since, allowsEpoch: true)
        == .after(id: 1, epoch: nil), "what is said of the stream itself counts")
    #expect(
      fromQuery.request(for: "a", since: nil, allowsEpoch: true) == .after(id: 5, epoch: 7))
    // PGMQ has no epochs: a cursor of another prefix does not bring one in.
    #expect(
      fromQuery.request(for: "a", since: nil, allowsEpoch: false) == .after(id: 5, epoch: nil))
    #expect(of(" \t ") != nil, "blank is none")
    let none = try #require(of("AQ a 1"))
    #expect(
      none.request(for: "a", since: query.wishes[0].since, allowsEpoch: true)
        == .after(id: 1, epoch: nil))
    #expect(none.request(for: "a", since: Array("  ".utf8)[...], allowsEpoch: true) == .none)
    #expect(none.request(for: "a", since: Array("x".utf8)[...], allowsEpoch: true) == .invalid)
  }

  @Test(arguments: ["5", "-1", "AQ==", "x y", "\u{1}", "AQ,AQ"])
  func aWordThatIsNoneOfOurs(text: String) {
    let query = SubscriptionSetTests.query("s=a")
    #expect(SetCursor(lastEventID: Array(text.utf8)[...], query: query) == nil)
    #expect(SetCursor(lastEventID: nil, query: SubscriptionSetTests.query("cursor=%05")) == nil)
  }

  @Test func aPatternBeginsNowOrWithAll() throws {
    let cursor = try #require(SetCursor(lastEventID: nil, query: SubscriptionSetTests.query("")))
    let of = { (text: String?) in cursor.request(forPatternSince: text.map { Array($0.utf8)[...] })
    }
    #expect(of(nil) == .none)
    #expect(of(" ") == .none)
    #expect(of("0") == .all)
    #expect(of("-4") == .none)
    for text in ["1", "0-1", "x", "00x"] { #expect(of(text) == .invalid, "<\(text)>") }
  }

  // MARK: The set

  @Test func whoAsksTwiceGetsTheEarlierPlace() {
    let places: [(CursorRequest, CursorRequest, CursorRequest)] = [
      (.none, .all, .all), (.all, .none, .all), (.none, .none, .none),
      (.after(id: 5, epoch: 1), .after(id: 3, epoch: 1), .after(id: 3, epoch: 1)),
      (.after(id: 3, epoch: 1), .after(id: 5, epoch: 1), .after(id: 3, epoch: 1)),
    ]
    for (first, second, earlier) in places {
      let set = SubscriptionSetTests.set(
        SubscriptionSetTests.subscription("a", first),
        SubscriptionSetTests.subscription("a", second))
      #expect(set.subscriptions.map(\.cursor) == [earlier])
      #expect(set.entries.map { $0.json(at: nil) } == [#"{"name":"a"}"#, #"{"name":"a"}"#])
    }
  }

  @Test func aPatternAndAStreamOfTheSameTextAreTwo() {
    let set = SubscriptionSetTests.set(
      SubscriptionSetTests.subscription("a*"),
      SubscriptionSetTests.subscription("a*", .all, isPattern: true),
      SubscriptionSetTests.subscription("a*", isPattern: true))
    #expect(set.subscriptions.map(\.isPattern) == [false, true])
    #expect(set.patterns.map(\.entry) == [1])
    #expect(
      set.entries.map { $0.json(at: nil) } == [
        #"{"name":"a*"}"#, #"{"pattern":"a*"}"#, #"{"pattern":"a*"}"#,
      ])
  }

  @Test func whatIsRefusedIsTold() {
    var set = SubscriptionSetTests.set(
      SubscriptionSetTests.subscription("a"), SubscriptionSetTests.subscription("b"),
      SubscriptionSetTests.subscription("a"), SubscriptionSetTests.subscription("c\"\\\u{8}"))
    set.addRefused(status: 404)
    #expect(set.refusal == nil)
    set.refuse([0: 403, 1: 503])
    #expect(
      set.entries.map { $0.json(at: nil) } == [
        #"{"status":403}"#, #"{"status":503}"#, #"{"status":403}"#, #"{"name":"c\"\\\b"}"#,
        #"{"status":404}"#,
      ])
    #expect(set.subscriptions.map(\.name) == ["c\"\\\u{8}"])
    #expect(set.refusals.map(\.reason) == [nil, nil, .unavailable])
    #expect(set.refusals.map(\.name) == [nil, "a", "b"])
    set.refuse([0: 401])
    #expect(set.refusal == 503, "one of them may be had later")
  }

  @Test func theEarliestEndCountsForAll() {
    let set = SubscriptionSetTests.set(
      SubscriptionSetTests.subscription("a"),
      SubscriptionSetTests.subscription("b", context: ConnectionContext(expiresAt: 90)),
      SubscriptionSetTests.subscription(
        "c", context: ConnectionContext(member: "m", expiresAt: 100)))
    #expect(set.context?.member == "m")
    #expect(set.context?.expiresAt == 90)
    #expect(SubscriptionSetTests.set(SubscriptionSetTests.subscription("a")).context == nil)
  }

  @Test func theLastAnswerGivesTheSet() {
    let set = SubscriptionSetTests.set(
      SubscriptionSetTests.subscription("a"), SubscriptionSetTests.subscription("b"),
      SubscriptionSetTests.subscription("c"))
    var questions = SetAuthorization(set)
    #expect(questions.answered(2, .forbid) == nil)
    #expect(questions.answered(0, .allow(ConnectionContext(labels: ["x"]))) == nil)
    let answered = questions.answered(1, .unavailable)
    #expect(answered?.subscriptions.map(\.name) == ["a"])
    #expect(answered?.subscriptions.first?.context?.labels == ["x"])
    #expect(
      answered?.entries.map { $0.json(at: nil) } == [
        #"{"name":"a"}"#, #"{"status":503}"#, #"{"status":403}"#,
      ])
  }
}
