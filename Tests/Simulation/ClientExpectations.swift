@testable import Millstream

/// What a client may be sent, and what it must be.
extension SimulatedClient {
  func receive(_ block: String) {
    if block.hasPrefix(": heartbeat ") { return }
    if block.hasPrefix("event: pgbus:gap-detected\n") { return receiveGap(block) }
    let hasID = block.hasPrefix("id: ")
    guard let token = SimulatedClient.token(of: block) else { return fails("got <\(block)>") }
    if token.kind == "e" { return receiveEphemeral(token.number, block) }
    guard token.number < world.postgres.records.count else { return fails("got <\(block)>") }
    let record = world.postgres.records[token.number]
    expect(block, record.frame(hasID: hasID))
    if record.queue !== queue || record.state != .committed || !record.isFor(id) {
      fails("m\(record.serial) is not for it")
    }
    if !seen.insert(record.serial).inserted { fails("m\(record.serial) comes twice") }
    if hasID { receive(record) } else { receiveLate(record) }
  }

  /// The letter and the number that every text begins with.
  private static func token(of block: String) -> (kind: Character, number: Int)? {
    guard let line = block.split(separator: "\n").last, line.hasPrefix("data: ") else { return nil }
    let text = line.dropFirst(6)
    guard let kind = text.first, let number = Int(text.dropFirst().prefix { $0.isNumber }) else {
      return nil
    }
    return (kind, number)
  }

  // MARK: Stored messages

  private func receive(_ record: MessageRecord) {
    if record.id <= last { fails("id \(record.id) comes after \(last)") }
    judgeJump(to: record.id, of: record.incarnation)
    last = record.id
    lastReceived = record.id
    incarnation = record.incarnation
    incarnationNumber = max(incarnationNumber, record.incarnation?.number ?? 0)
    let suffix = record.incarnation?.epoch.map { "-" + String($0, radix: 16) } ?? ""
    cursor = Cursor(
      id: record.id, text: "\(record.id)\(suffix)", incarnation: record.incarnation)
  }

  /// Whatever lies between its last id and `id` has to be missing for a reason.
  private func judgeJump(to id: Int64, of other: Incarnation?) {
    guard let other, id > last + 1 || other !== incarnation else { return }
    let isFirst = cursor?.id == came?.id && cursor?.text == came?.text
    if let incarnation, incarnation !== other {
      // Whoever has nothing and wants everything has nothing to be told.
      if (came == nil || !isFirst) && last > 0 { awaitsReset = true }
      return
    }
    if start == nil && incarnation == nil || came != nil && incarnation == nil { return }
    for record in other.records.prefix(Int(id) - 1).dropFirst(Int(last)) { pass(record) }
  }

  /// It begins there. Where the first look at a stream has waited for long enough, it goes by when
  /// transactions began, not by when they took their ids.
  func passAllUpToLast() {
    for record in (incarnation?.records ?? []).prefix(Int(last)) {
      if record.state == .taken && isNotedAsLate(record) { record.mayBeLate = true }
      pass(record)
    }
  }

  private func isNotedAsLate(_ record: MessageRecord) -> Bool {
    stream?.late?.ranges.contains { $0.contains(record.id) } == true
  }

  /// It will not be given `record` in its place any more.
  func pass(_ record: MessageRecord) {
    guard record.isFor(id), !seen.contains(record.serial) else { return }
    let waitedMs = world.postgres.nowMs - record.lockedMs
    switch record.state {
    case .rolledBack: return
    case .taken:
      if waitedMs < world.holeWaitMs && !record.mayBeLate && !world.isGivenUpEarly(record) {
        record.passedEarly = "\(self.id), who has \(last)"
      }
      passed[record.serial] = world.steps
    case .committed where record.isRemoved:
      if isOwedGap(record) { fails("m\(record.serial) was removed, and it was not told") }
    case .committed:
      if record.id > start ?? .max && !wasLate(record) {
        fails("m\(record.serial), id \(record.id), was left out")
      }
      passed[record.serial] = world.steps
    }
  }

  private func isOwedGap(_ record: MessageRecord) -> Bool {
    record.mustBeTold && last > 0 && record.id > last && !wasLate(record)
      && record.id >= record.incarnation?.firstRead ?? 0 && !isInGap(record)
  }

  /// Nobody had to wait for it any more when it was committed: it comes without an id, if at all.
  private func wasLate(_ record: MessageRecord) -> Bool {
    record.mayBeLate || record.committedMs - record.lockedMs >= world.holeWaitMs
  }

  /// Whoever was told of a gap knows that it is in there.
  private func isInGap(_ record: MessageRecord) -> Bool {
    gaps.contains { $0.contains(record.id) }
  }

  /// What was passed over comes without an id.
  private func receiveLate(_ record: MessageRecord) {
    // Lanes wait for each other, and for each other's pages.
    if carrier != nil { return }
    // Whoever reads a page that it is missing from gets it before it has come to its place.
    let mayFallBehind = hasStalled || wasRagged || world.limits.logBytes < 8_192
    let mayReadPages = came != nil || mayFallBehind
    if record.id <= last || start == nil || mayReadPages { return }
    let others = record.incarnation?.records.dropFirst(Int(record.id)) ?? []
    if !others.contains(where: { $0.state == .committed && !$0.isFor(id) }) {
      fails("m\(record.serial), id \(record.id), has no id, and last is \(last)")
    }
  }

  // MARK: Control frames

  private func receiveGap(_ block: String) {
    let numbers = block.split(whereSeparator: { !$0.isNumber }).compactMap { Int64($0) }
    guard numbers.count == 2 else { return fails("got <\(block)>") }
    let isReset = block.contains("reset")
    let expected = ControlFrames.gap(
      lastSeen: numbers[0], oldest: numbers[1], reason: isReset ? "reset" : nil)
    expect(block + "\n\n", String(decoding: expected, as: UTF8.self))
    if isReset { beginAnew() } else { skip(from: numbers[0] + 1, to: numbers[1] - 1) }
  }

  private func beginAnew() {
    let hasChanged = (queue.incarnations.last?.number ?? 0) > incarnationNumber
    let isElsewhere =
      came.map { $0.incarnation == nil || $0.incarnation !== queue.current } ?? false
    // Where it happened twice in one step, only the second is known.
    if !hasChanged && !isElsewhere && !queue.hasUnnoticedRewind && anewStep != world.steps {
      fails("was told that the ids begin anew, and they do not")
    }
    (start, last, lastReceived, incarnation, openedIn) = (0, 0, 0, nil, nil)
    // A client that is slow may be told of one change while there are more.
    if hasChanged { incarnationNumber += 1 }
    awaitsReset = false
    seen = []
    passed = [:]
    gaps = []
    isAnew = true
    anewStep = world.steps
  }

  private func skip(from low: Int64, to high: Int64) {
    guard low <= high, high > last else { return fails("a gap up to \(high), and it has \(last)") }
    gaps.append(low...high)
    // A slow client that has got nothing since it came, or was told to begin anew, may be told of any of the
    // later ones.
    if incarnation == nil && queue.incarnations.count > 1 { return last = high }
    let known = stream.flatMap { queue.incarnation(of: $0) }
    // It may be of either where they differ.
    let others = [known, openedIn].compactMap { $0 }
    if let incarnation, others.contains(where: { $0 !== incarnation }) { return last = high }
    guard let other = incarnation ?? known else { return }
    // Of one that is not there any more, all is removed.
    let isCurrent = other === queue.current && high <= other.records.count
    let isKept = isCurrent && other.records.prefix(Int(low) - 1).contains { $0.state == .committed }
    if isKept && !other.records.prefix(Int(high)).contains(where: { $0.isRemoved }) {
      fails("was told of a gap, and nothing was ever removed")
    }
    if queue.store == .pgmq, isCurrent,
      let kept = other.records.prefix(Int(low) - 1).first(where: isKeptInOrder)
    {
      fails("was told of a gap, and m\(kept.serial) is still there before it")
    }
    judgeJump(to: high + 1, of: other)
    last = high
  }

  /// Whoever had it had all before it, and it was never away.
  private func isKeptInOrder(_ record: MessageRecord) -> Bool {
    record.isThere && !wasLate(record)
  }

  // MARK: Ephemerals

  private func receiveEphemeral(_ number: Int, _ block: String) {
    let ephemeral = world.ephemerals[number]
    expect(block, "event: turbo-stream\ndata: e\(number)")
    if !seenEphemerals.insert(number).inserted { fails("e\(number) comes twice") }
    guard let step = ephemeral.step, ephemeral.queue === queue, ephemeral.isFor(id) else {
      return fails("e\(number) is not for it")
    }
    // A lane that waits for the others hears what comes meanwhile.
    let (sinceStep, sinceMs) =
      carrier.map { ($0.bornStep, $0.bornMs) } ?? (openedStep ?? .max, openedMs)
    if sinceStep > step && sinceMs > ephemeral.lastMs {
      fails("e\(number) was before it came")
    }
  }

  // MARK: The end

  func missing() -> String? {
    guard isOpen else { return nil }
    if isAsked { return carrier == nil ? "is still there" : isTold ? nil : "was not told" }
    guard openedStep != nil else { return "was not opened" }
    guard let current = queue.current else { return nil }
    if carrier?.isGoing == true { return nil }
    if connection.pointee.phase != .live { return "is not live" }
    if awaitsReset { return "was not told that the ids begin anew" }
    if let incarnation, incarnation !== current, last > 0, !mayBeForeign(current) {
      return "is of an earlier incarnation"
    }
    for record in current.records where isDue(record) {
      return "lacks m\(record.serial), id \(record.id)"
    }
    return missingEphemeral(of: queue, seen: seenEphemerals)
  }

  /// It came with a cursor that fits the new stream as well, and had got nothing by then.
  private func mayBeForeign(_ current: Incarnation) -> Bool {
    guard let came, cursor?.text == came.text, !isAnew else { return false }
    return came.id <= current.lastID && !came.text.contains("-")
  }

  private func isDue(_ record: MessageRecord) -> Bool {
    guard record.isThere, record.isFor(id), !seen.contains(record.serial) else { return false }
    if let step = passed[record.serial] { return isOwedLate(record, passedAt: step) }
    if let start { return record.id > start }
    return record.commitNumber > dueAfterCommit ?? .max && !isInGap(record)
  }

  /// Those who were live all the time get what comes late.
  private func isOwedLate(_ record: MessageRecord, passedAt step: Int) -> Bool {
    guard let liveSince, let openedStep, !isInGap(record) else { return false }
    return liveSince < step && openedStep < liveSince && !hasStalled
      && wasLate(record) && world.writer.statistics.forgottenHoles == 0
  }
}
