/// Which members are on which streams by the connections of this loop, and what Postgres has to be told of
/// it. It does no I/O: what happened goes in, what to write comes out, in batches.
///
/// A member's row in the database says that it is there. Whoever has connections of it touches the row now
/// and then. When the last connection of this loop ends, all others are asked at once whether they have
/// some; who has touches the row. At the end of the grace period the row goes if nobody has touched it
/// since.
struct PresenceTable {
  struct Limits {
    /// A member that comes back within that has never been away.
    var graceMs: Int64
    /// The row of a member that is there is touched that often.
    var touchMs: Int64
    /// For so long others may take to answer.
    var answerMs: Int64 = 500
    /// How many members are known at once. Those beyond take part in nothing.
    var maximumMembers = 100_000
    /// How many rows one statement is about.
    var rowsInStatement = 500
  }

  /// Why a row is written.
  enum Reason: Hashable {
    /// The member has come: its metadata counts.
    case join
    /// It still is there.
    case touch
  }

  struct Write: Equatable {
    var key: PresenceKey
    var metadata: [UInt8]
    var reason: Reason
  }

  /// A member whose last connection has ended; a later departure of the same has another number.
  struct Departure: Equatable {
    var key: PresenceKey
    var number: UInt64
  }

  struct Leave: Equatable {
    var key: PresenceKey
    /// The server's time as it was given: whoever has touched the row since has the member.
    var cutoff: [UInt8]
  }

  /// What `left` has to be called for where `entered` says so.
  enum Entry: Equatable { case counted, full }

  private enum Leaving {
    case toAsk
    case asking
    case asked(cutoff: [UInt8], atMs: Int64)
    case removing
  }

  private struct Member {
    var connections = 0
    var metadata: [UInt8]
    /// What waits to be written.
    var write: Reason?
    /// The session by which its row was written last, or is on its way; 0: none has.
    var writtenBy: UInt64 = 0
    /// The round in which it was written last.
    var round: UInt64 = 0
    /// When the row is to be touched again; nil: it has no place in that queue.
    var touchDueMs: Int64?
    var leaving: Leaving?
    var number: UInt64 = 0
    var endMs: Int64 = 0
  }

  let limits: Limits
  private var members: [PresenceKey: Member] = [:]
  private var writes = Deque<PresenceKey>()
  /// Each who is there has a place here, or in `writes`.
  private var touches = Deque<(key: PresenceKey, dueMs: Int64, round: UInt64)>()
  private var questions = Deque<Departure>()
  private var departures = Deque<Departure>()
  private var lastNumber: UInt64 = 0
  /// Counts the sessions, and how often all had to be written: nobody walks over all members at once.
  private var session: UInt64 = 1
  private var round: UInt64 = 1
  /// How many members have connections.
  private(set) var presentCount = 0
  /// Nobody comes back any more: grace is over for all.
  private var isEnding = false

  init(_ limits: Limits) {
    self.limits = limits
  }

  /// How many places there are in the longest queue.
  var queueLength: Int { max(writes.count, questions.count, departures.count) }

  /// Nobody is there, and nobody is about to leave.
  var isEmpty: Bool { members.isEmpty }

  // MARK: Connections

  /// A connection of the member has come.
  mutating func entered(_ key: PresenceKey, metadata: [UInt8], nowMs: Int64) -> Entry {
    guard var member = members[key] else {
      guard members.count < limits.maximumMembers else { return .full }
      members[key] = Member(connections: 1, metadata: metadata)
      presentCount += 1
      want(.join, of: key)
      return .counted
    }
    if member.connections == 0 { presentCount += 1 }
    let wasRemoved = if case .removing = member.leaving { true } else { false }
    let isBack = member.connections == 0
    let isOther = member.metadata != metadata
    member.connections += 1
    member.metadata = metadata
    member.leaving = nil
    members[key] = member
    if wasRemoved || isOther { want(.join, of: key) } else if isBack { want(.touch, of: key) }
    return .counted
  }

  /// A connection has ended that was counted.
  mutating func left(_ key: PresenceKey, nowMs: Int64) {
    guard var member = members[key], member.connections > 0 else { return }
    member.connections -= 1
    guard member.connections == 0 else { return members[key] = member }
    presentCount -= 1
    member.write = nil
    // Nobody was told that it is there.
    guard member.writtenBy == session else { return members[key] = nil }
    lastNumber += 1
    member.number = lastNumber
    member.endMs = nowMs + limits.graceMs
    member.leaving = .toAsk
    members[key] = member
    questions.append(Departure(key: key, number: lastNumber))
    departures.append(Departure(key: key, number: lastNumber))
    dropStaleDepartures()
  }

  /// Who leaves and is back while nobody can be asked leaves a place behind each time.
  private mutating func dropStaleDepartures() {
    let limit = 2 * members.count + 1024
    if questions.count > limit { questions = current(questions) }
    if departures.count > limit { departures = current(departures) }
  }

  private func current(_ queue: Deque<Departure>) -> Deque<Departure> {
    var left = Deque<Departure>()
    queue.forEach { if isCurrent($0) { left.append($0) } }
    return left
  }

  /// Somebody asks whether the member is here.
  mutating func wasAsked(_ key: PresenceKey) {
    if members[key]?.connections ?? 0 > 0 { want(.touch, of: key) }
  }

  /// The loop ends: who has left is told to have done so as soon as others could have answered.
  mutating func end() {
    isEnding = true
  }

  private mutating func want(_ reason: Reason, of key: PresenceKey) {
    guard let waiting = members[key]?.write else {
      members[key]?.write = reason
      writes.append(key)
      return dropStaleWrites()
    }
    if waiting == .touch { members[key]?.write = reason }
  }

  /// Who comes and goes while nothing can be written leaves a key behind each time.
  private mutating func dropStaleWrites() {
    guard writes.count > 2 * members.count + 1024 else { return }
    writes = Deque()
    for (key, member) in members where member.write != nil { writes.append(key) }
  }

  // MARK: What is to be written

  /// The rows that are to be written next.
  mutating func takeWrites(nowMs: Int64) -> [Write] {
    wantTouches(nowMs)
    var taken: [Write] = []
    while taken.count < limits.rowsInStatement, let key = writes.popFirst() {
      guard var member = members[key], let wanted = member.write else { continue }
      let reason = member.round == round ? wanted : .join
      member.write = nil
      member.writtenBy = session
      member.round = round
      if member.touchDueMs == nil {
        member.touchDueMs = nowMs + limits.touchMs
        touches.append((key, nowMs + limits.touchMs, round))
      }
      members[key] = member
      taken.append(Write(key: key, metadata: member.metadata, reason: reason))
    }
    return taken
  }

  /// The interval is the same for all, so those who are due stand in front.
  private mutating func wantTouches(_ nowMs: Int64) {
    // Of those who are gone there may be very many.
    for _ in 0..<4 * limits.rowsInStatement {
      guard let first = touches.first, first.dueMs <= nowMs || first.round != round,
        writes.count < limits.rowsInStatement
      else { return }
      _ = touches.popFirst()
      guard members[first.key]?.touchDueMs == first.dueMs else { continue }
      members[first.key]?.touchDueMs = nil
      if members[first.key]?.connections ?? 0 > 0 { want(.touch, of: first.key) }
    }
  }

  /// Those of whom others are to be asked next.
  mutating func takeQuestions() -> [Departure] {
    var taken: [Departure] = []
    while taken.count < limits.rowsInStatement, let departure = questions.popFirst() {
      guard isCurrent(departure) else { continue }
      members[departure.key]?.leaving = .asking
      taken.append(departure)
    }
    return taken
  }

  /// Those whose rows are to go next.
  mutating func takeLeaves(nowMs: Int64) -> [Leave] {
    var taken: [Leave] = []
    while taken.count < limits.rowsInStatement, let departure = departures.first {
      guard isCurrent(departure), let member = members[departure.key] else {
        _ = departures.popFirst()
        continue
      }
      guard isEnding || member.endMs <= nowMs, case .asked(let cutoff, let atMs) = member.leaving,
        atMs + limits.answerMs <= nowMs
      else { break }
      _ = departures.popFirst()
      members[departure.key]?.leaving = .removing
      taken.append(Leave(key: departure.key, cutoff: cutoff))
    }
    return taken
  }

  private func isCurrent(_ departure: Departure) -> Bool {
    guard let member = members[departure.key] else { return false }
    return member.leaving != nil && member.number == departure.number
  }

  // MARK: What has become of it

  /// These rows were not written; they are tried again with the next batch.
  mutating func writesFailed(_ failed: [Write]) {
    for write in failed where members[write.key]?.connections ?? 0 > 0 {
      want(write.reason, of: write.key)
    }
  }

  /// Postgres cannot keep this metadata: what is written later of the member goes without.
  mutating func metadataRefused(_ write: Write) {
    guard members[write.key]?.metadata == write.metadata else { return }
    members[write.key]?.metadata = Array("{}".utf8)
  }

  /// Others were asked, at this time of the server's.
  mutating func asked(_ departures: [Departure], at cutoff: [UInt8], nowMs: Int64) {
    for departure in departures where isCurrent(departure) {
      if case .asking = members[departure.key]?.leaving {
        members[departure.key]?.leaving = .asked(cutoff: cutoff, atMs: nowMs)
      }
    }
  }

  /// Nobody could be asked: whoever sweeps finds these rows when they are old.
  mutating func askingFailed(_ departures: [Departure]) {
    for departure in departures where isCurrent(departure) { members[departure.key] = nil }
  }

  /// These rows have gone, or others have the members; or they could not be removed, and will be swept.
  mutating func leavesEnded(_ leaves: [Leave]) {
    for leave in leaves {
      if case .removing = members[leave.key]?.leaving { members[leave.key] = nil }
    }
  }

  /// Nothing that was asked for will be answered. Who is about to leave, and who leaves until the next
  /// session, is forgotten, and swept by whoever is there.
  mutating func sessionLost() {
    session += 1
    // Those whose rows were about to go have no place there any more: their statement has failed.
    departures.forEach { if isCurrent($0) { members[$0.key] = nil } }
    questions = Deque()
    departures = Deque()
  }

  /// Whatever was written may be gone: it is written again, as far as a batch has room.
  mutating func writeAll() {
    round += 1
  }

  /// A store takes part no longer.
  mutating func forget(_ store: StoreKind) {
    for (key, member) in members where key.stream.store == store {
      if member.connections > 0 { presentCount -= 1 }
      members[key] = nil
    }
  }
}
