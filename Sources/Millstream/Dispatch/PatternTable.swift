/// The patterns of native streams that connections follow, each of them once, with those who do.
struct PatternTable {
  /// A pattern, and where it stands with the list of the streams that fit it.
  final class Group {
    let text: [UInt8]
    let pattern: StreamPattern
    /// By the slots of their connections.
    var followers: [UInt32: Follower] = [:]
    /// Names that fit and were heard since the store was asked: they may be too new for its answer.
    private(set) var heard: Set<[UInt8]> = []

    init(_ text: [UInt8]) {
      self.text = text
      pattern = StreamPattern(String(decoding: text, as: UTF8.self))
    }

    /// A list that is on its way may be older than this name; false: it is not kept, and another list is needed.
    func hold(_ name: [UInt8]) -> Bool {
      if heard.contains(name) { return true }
      guard heard.count < CursorVector.maximumStreams else { return false }
      heard.insert(name)
      return true
    }

    /// A list has come. Whoever waits for a later one has not had what was heard meanwhile.
    func forgetHeard() {
      if followers.values.allSatisfy(\.isListed) { heard = [] }
    }
  }

  /// A connection that follows a pattern.
  final class Follower {
    let carrier: Carrier
    let context: ConnectionContext?
    /// The number of the pattern among what the client asked for.
    let entry: Int
    /// Where it begins in the streams that there are, if it has not followed the pattern before.
    let begin: CursorRequest
    /// Where the client was in each stream that it had, by this pattern or by another way.
    let cursor: CursorVector?
    /// It has followed the pattern before: a stream that it does not know is new.
    let isResumed: Bool
    /// It has the streams that there were; from here on those that are new are its, from their first
    /// message on.
    var isListed = false

    var slot: UInt32 { carrier.connection.pointee.slot }

    init(
      _ carrier: Carrier, _ context: ConnectionContext?, entry: Int, begin: CursorRequest,
      cursor: CursorVector?, isResumed: Bool
    ) {
      self.carrier = carrier
      self.context = context
      self.entry = entry
      self.begin = begin
      self.cursor = cursor
      self.isResumed = isResumed
    }

    /// Where the client goes on in a stream: where it was, as the cursor says, also if the stream is another
    /// by now, which it has to be told; from the first message on, if the stream is new to it.
    func request(for key: CursorVector.Key) -> CursorRequest {
      if let position = cursor?[key] { return .after(id: position.id, epoch: position.epoch) }
      return isListed || isResumed ? .all : begin
    }
  }

  private(set) var groups: [[UInt8]: Group] = [:]
  /// Of these the store has to be asked (again) which streams there are: first those for which a connection waits.
  private var awaited: Set<[UInt8]> = []
  private var stale: Set<[UInt8]> = []

  var isEmpty: Bool { groups.isEmpty }

  mutating func add(_ follower: Follower, to text: [UInt8]) {
    let group = groups[text] ?? Group(text)
    groups[text] = group
    group.followers[follower.slot] = follower
    awaited.insert(text)
  }

  // MARK: Lists

  var wantsLists: Bool { !awaited.isEmpty || !stale.isEmpty }

  mutating func wantList(of group: Group) { stale.insert(group.text) }

  mutating func wantAllLists() { stale = Set(groups.keys) }

  /// Some of those whose lists are wanted; they are wanted no more.
  mutating func takeWanted(atMost limit: Int) -> [Group] {
    var taken: [Group] = []
    while taken.count < limit, let text = awaited.popFirst() ?? stale.popFirst() {
      stale.remove(text)
      if let group = groups[text] { taken.append(group) }
    }
    return taken
  }

  // MARK: Followers

  /// Where a connection begins in a stream that is new to it. Where several of its patterns fit, it is the
  /// earliest of what they say: which of them is listed first is chance.
  func request(for name: [UInt8], _ key: CursorVector.Key, of carrier: Carrier) -> CursorRequest {
    for follower in followers(of: name, on: carrier) {
      let request = follower.request(for: key)
      if request != .none { return request }
    }
    return .none
  }

  /// What is known of the client on a stream that is its by a pattern: where several fit, what the first of those
  /// that it asked for was given with.
  func context(for name: [UInt8], of carrier: Carrier) -> ConnectionContext? {
    followers(of: name, on: carrier).first?.context
  }

  /// In the order in which the client asked for their patterns.
  private func followers(of name: [UInt8], on carrier: Carrier) -> [Follower] {
    carrier.patterns.compactMap { pattern in
      guard let group = groups[pattern.text], group.pattern.matches(name) else { return nil }
      return group.followers[carrier.connection.pointee.slot]
    }
  }

  mutating func remove(_ carrier: Carrier) {
    for text in carrier.patterns.map(\.text) { remove(carrier, from: text) }
  }

  mutating func remove(_ carrier: Carrier, from text: [UInt8]) {
    groups[text]?.followers[carrier.connection.pointee.slot] = nil
    guard groups[text]?.followers.isEmpty == true else { return }
    groups[text] = nil
    awaited.remove(text)
    stale.remove(text)
  }
}
