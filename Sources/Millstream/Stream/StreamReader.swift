/// Decides when a stream is looked at and read. It does no I/O: events go in, and what has to be
/// done comes out.
///
///     unknown ─look─▶ looking ─found─▶ following ◀─page─▶ reading
///                        └──absent─▶ absent ─woken─▶ looking
struct StreamReader {
  /// What has to be done next.
  enum Action: Equatable {
    case none
    /// Ask the store whether the stream is there, and how far it goes.
    case look
    /// Read what lies above the log's tip.
    case read
  }

  private enum Phase {
    /// The store was never asked.
    case unknown
    case looking(wasFollowing: Bool)
    /// The store has no such stream (yet).
    case absent
    case following
    case reading
  }

  private var phase = Phase.unknown
  /// Something happened while a question was under way: its answer may be too old.
  private var isStale = false
  /// The store has to be asked where it is before more is read.
  private var isLookDue = false

  /// Whether a start of the log is known, or it is known that there is none.
  private(set) var isKnown = false

  /// Whether a question is under way.
  var isBusy: Bool {
    switch phase {
    case .looking, .reading: true
    case .unknown, .absent, .following: false
    }
  }

  /// For people who look into it.
  var description: String {
    switch phase {
    case .unknown: "not looked at yet"
    case .looking: "looking"
    case .absent: "not in the store"
    case .following: "following"
    case .reading: "reading"
    }
  }

  /// Whether the store was asked where it is.
  var isLooking: Bool { if case .looking = phase { true } else { false } }

  /// Whether the store has said that there is no such stream.
  var isAbsent: Bool { if case .absent = phase { true } else { false } }

  /// A connection came whose place cannot be told without asking the store.
  mutating func lookWanted() -> Action {
    switch phase {
    case .unknown, .absent: startLooking(wasFollowing: false)
    case .following: startLooking(wasFollowing: true)
    case .looking: markStale()
    case .reading: noteLookDue()
    }
  }

  /// A notification says that there may be something new.
  mutating func woken() -> Action {
    switch phase {
    // Unknown to whoever is subscribed: a look failed, and this is the time for another.
    case .unknown, .absent: startLooking(wasFollowing: false)
    case .following: startReading()
    case .looking, .reading: markStale()
    }
  }

  /// The store has the stream; `hasNews`: it goes further than the log's tip.
  mutating func found(hasNews: Bool) -> Action {
    isKnown = true
    phase = .following
    return hasNews || takeStale() ? startReading() : .none
  }

  /// The store does not have it.
  mutating func foundAbsent() -> Action {
    isKnown = true
    phase = .absent
    return takeStale() ? startLooking(wasFollowing: false) : .none
  }

  /// A page of new messages was taken in; `isShort`: there were no more at that moment.
  mutating func pageRead(isShort: Bool) -> Action {
    phase = .following
    return !isShort || isLookDue || takeStale() ? startReading() : .none
  }

  /// A page was taken in up to a hole; the dispatcher says when to go on.
  mutating func readHeld() {
    phase = .following
    isStale = false
  }

  /// The session broke, or the question failed: nothing that was asked will be answered.
  mutating func failed() {
    switch phase {
    case .looking(let wasFollowing): phase = wasFollowing ? .following : .unknown
    case .reading: phase = .following
    case .unknown, .absent, .following: break
    }
    isStale = false
    isLookDue = false
  }

  private mutating func startLooking(wasFollowing: Bool) -> Action {
    isLookDue = false
    phase = .looking(wasFollowing: wasFollowing)
    return .look
  }

  /// A stream that is written to all the time is looked at in between.
  private mutating func startReading() -> Action {
    if isLookDue { return startLooking(wasFollowing: true) }
    isStale = false
    phase = .reading
    return .read
  }

  private mutating func noteLookDue() -> Action {
    isLookDue = true
    return .none
  }

  private mutating func markStale() -> Action {
    isStale = true
    return .none
  }

  private mutating func takeStale() -> Bool {
    defer { isStale = false }
    return isStale
  }
}
