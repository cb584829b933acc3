/// What a client asked for that wants several streams on one connection.
struct SubscriptionSet {
  /// One that it asked for.
  enum Entry: Equatable {
    /// It gets this stream.
    case stream(name: String)
    /// It gets all native streams whose names fit.
    case pattern(String)
    /// It does not; the status says why.
    case refused(status: Int)

    static func == (left: Entry, right: Entry) -> Bool {
      switch (left, right) {
      case (.stream(let name), .stream(let other)), (.pattern(let name), .pattern(let other)):
        name.utf8.elementsEqual(other.utf8)
      case (.refused(let status), .refused(let other)): status == other
      default: false
      }
    }

    /// As the opening says it; `position`: where it begins, if that is known of a stream.
    func json(at position: CursorVector.Position?) -> String {
      switch self {
      case .stream(let name):
        #"{"name":\#(Entry.quoted(name))\#(position.map { #","id":"\#($0.text)""# } ?? "")}"#
      case .pattern(let text): #"{"pattern":\#(Entry.quoted(text))}"#
      case .refused(let status): #"{"status":\#(status)}"#
      }
    }

    private static func quoted(_ text: String) -> String {
      String(decoding: JSONString.encode(text.utf8), as: UTF8.self)
    }
  }

  /// So many patterns may be followed at once: each costs a look through the streams that there are.
  static let maximumPatterns = 16

  /// One that it does not get.
  struct Refusal {
    var status: Int
    /// Why temporarily; nil: for good.
    var reason: RefusalReason?
    /// Nil: the name was not in order.
    var name: String?
  }

  let store: StoreKind
  /// The bytes that go before the first frame: the head of the response.
  var head: [UInt8]
  /// In the order in which it asked.
  private(set) var entries: [Entry] = []
  /// What is refused, for who looks after the server.
  private(set) var refusals: [Refusal] = []
  /// The streams that it gets, each once.
  var subscriptions: [Subscription] = []
  /// Where the client was in each of them.
  let cursor: SetCursor
  private var numbers: [CursorVector.Key: Int] = [:]

  init(store: StoreKind, head: [UInt8], cursor: SetCursor) {
    self.store = store
    self.cursor = cursor
    self.head = head
  }

  /// Adds what was asked for next. Who asks for a stream twice gets it once, from the earlier place on.
  mutating func add(_ subscription: Subscription) {
    let key = subscription.key
    guard let known = numbers[key] else {
      if subscription.isPattern, subscriptions.count(where: \.isPattern) == Self.maximumPatterns {
        return addRefused(status: 413, name: subscription.name)
      }
      numbers[key] = subscriptions.count
      subscriptions.append(subscription)
      return entries.append(subscription.entry)
    }
    // The cursor could not tell these two apart.
    guard subscriptions[known].entry == subscription.entry else {
      return addRefused(status: 409, name: subscription.name)
    }
    subscriptions[known].cursor = subscriptions[known].cursor.earlier(of: subscription.cursor)
    entries.append(subscription.entry)
  }

  /// `name`: if it is in order.
  mutating func addRefused(status: Int, name: String? = nil) {
    refusals.append(Refusal(status: status, reason: nil, name: name))
    entries.append(.refused(status: status))
  }

  /// Takes out the subscriptions with these numbers, which are refused for these statuses; `reason`: why temporarily.
  /// Without one, whoever gets 503 could not be asked about.
  mutating func refuse(_ statuses: [Int: Int], for reason: RefusalReason? = nil) {
    for (number, status) in statuses.sorted(by: { $0.key < $1.key }) {
      let isUnavailable = status == HTTPResponse.unavailable.status
      refusals.append(
        Refusal(
          status: status, reason: reason ?? (isUnavailable ? .unavailable : nil),
          name: subscriptions[number].name))
      for index in entries.indices where entries[index] == subscriptions[number].entry {
        entries[index] = .refused(status: status)
      }
    }
    subscriptions = subscriptions.indices.filter { statuses[$0] == nil }.map { subscriptions[$0] }
  }

  /// The patterns, each with the number of its entry.
  var patterns: [(entry: Int, subscription: Subscription)] {
    subscriptions.filter(\.isPattern).compactMap { subscription in
      entries.firstIndex(of: subscription.entry).map { ($0, subscription) }
    }
  }

  /// The status that refuses all of it; nil: there is something that it gets. If one of its streams may be had
  /// later, it is no refusal for good.
  var refusal: Int? {
    guard subscriptions.isEmpty else { return nil }
    let statuses = entries.compactMap { entry -> Int? in
      if case .refused(let status) = entry { status } else { nil }
    }
    return statuses.first { $0 == HTTPResponse.unavailable.status } ?? statuses.first
  }

  /// What is known of the client as a whole: who it is, and the earliest end of its permissions.
  var context: ConnectionContext? {
    let contexts = subscriptions.compactMap(\.context)
    let whole = contexts.first { $0.member != nil } ?? contexts.first
    return whole?.ending(by: contexts.compactMap(\.expiresAt).min())
  }
}

extension Subscription {
  /// As the opening says it.
  fileprivate var entry: SubscriptionSet.Entry { isPattern ? .pattern(name) : .stream(name: name) }

  fileprivate var key: CursorVector.Key {
    isPattern ? Carrier.Pattern(storageName).key : CursorVector.Key(name.utf8)
  }
}

extension CursorRequest {
  /// Of two places the one with more to come; from now on is the last of all.
  fileprivate func earlier(of other: CursorRequest) -> CursorRequest {
    switch (self, other) {
    case (.after(let id, _), .after(let otherID, _)): id <= otherID ? self : other
    case (.after, _): self
    default: other
    }
  }
}
