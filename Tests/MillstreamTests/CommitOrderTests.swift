import Testing

@testable import Millstream

@Suite struct CommitOrderTests {
  /// A hole below 7, seen at 1,000 ms, in a stream that was settled up to 4.
  private func holding(_ holders: [String]? = nil, nowMs: Int64 = 1_000) -> CommitOrder {
    var order = CommitOrder(settledThrough: 4)
    order.holeSeen(through: 7, nowMs: 1_000)
    for askedMs in holders == nil ? [] : [1_000, nowMs] {
      _ = order.holdersFound(holders ?? [], askedMs: askedMs, longestWaitMs: 10_000)
    }
    return order
  }

  @Test func nextIDAlwaysFollows() {
    let order = CommitOrder(settledThrough: 4)
    #expect(order.allows(5, after: 4))
    #expect(!order.allows(6, after: 4))
    #expect(order.allows(4, after: 2))
    #expect(CommitOrder.byID.allows(100, after: 2))
  }

  @Test func holeThatNobodyCanFillIsPassed() {
    var order = holding()
    #expect(order.holdersFound([], askedMs: 1_001, longestWaitMs: 10_000) == .settled)
    #expect(order.hold == nil)
    #expect(order.allows(7, after: 4))
    #expect(!order.allows(9, after: 7))
  }

  @Test func firstAnswerSaysWhoIsWaitedFor() {
    var order = holding(["3/1", "4/9"])
    #expect(!order.allows(7, after: 4))
    // 5/2 has taken the lock after the hole was seen: its ids lie above.
    #expect(order.holdersFound(["4/9", "5/2"], askedMs: 1_010, longestWaitMs: 10_000) == .waiting)
    #expect(order.holdersFound(["5/2", "4/10"], askedMs: 1_020, longestWaitMs: 10_000) == .settled)
    #expect(order.allows(7, after: 4))
  }

  @Test func furtherHolesDoNotMoveWhatIsWaitedFor() {
    var order = holding(["3/1"])
    order.holeSeen(through: 20, nowMs: 1_005)
    #expect(order.holdersFound([], askedMs: 1_010, longestWaitMs: 10_000) == .settled)
    #expect(order.settledThrough == 7)
  }

  @Test func preparedTransactionMayBeAnyOfThem() {
    var order = holding(["3/1"])
    #expect(order.holdersFound(["-1/744"], askedMs: 1_010, longestWaitMs: 10_000) == .waiting)
    #expect(order.holdersFound([], askedMs: 1_020, longestWaitMs: 10_000) == .settled)
  }

  @Test func whoeverTakesTooLongIsGivenUpAndHoldsNobodyUpAgain() {
    var order = holding(["3/1"])
    #expect(order.holdersFound(["3/1"], askedMs: 10_999, longestWaitMs: 10_000) == .waiting)
    #expect(order.holdersFound(["3/1"], askedMs: 11_000, longestWaitMs: 10_000) == .givenUp)
    #expect(order.allows(7, after: 4))
    #expect(order.givenUp == ["3/1"] && order.givenUpThrough == 7)
    order.holeSeen(through: 30, nowMs: 11_001)
    #expect(order.holdersFound(["3/1"], askedMs: 11_002, longestWaitMs: 10_000) == .settled)
    #expect(order.holdersFound([], askedMs: 11_003, longestWaitMs: 10_000) == .settled)
    #expect(order.givenUp.isEmpty)
  }

  /// An answer may have been under way for long, or the first one have come after a long break.
  @Test func nobodyIsGivenUpWhoWasNotWaitedFor() {
    var order = holding()
    #expect(order.holdersFound(["3/1"], askedMs: 60_000, longestWaitMs: 10_000) == .waiting)
    order.sessionChanged()
    #expect(order.holdersFound(["2/7"], askedMs: 90_000, longestWaitMs: 10_000) == .waiting)
    #expect(order.holdersFound(["2/7"], askedMs: 99_999, longestWaitMs: 10_000) == .waiting)
    #expect(order.holdersFound(["2/7"], askedMs: 100_000, longestWaitMs: 10_000) == .givenUp)
  }

  /// Who was found may have come while the question was under way.
  @Test func waitBeginsWithTheAnswer() {
    var order = CommitOrder(settledThrough: 0)
    order.holeSeen(through: 5, nowMs: 1_000)
    let first = order.holdersFound(
      ["3/1"], askedMs: 1_000, answeredMs: 4_000, longestWaitMs: 10_000)
    #expect(first == .waiting)
    #expect(order.holdersFound(["3/1"], askedMs: 13_999, longestWaitMs: 10_000) == .waiting)
    #expect(order.holdersFound(["3/1"], askedMs: 14_000, longestWaitMs: 10_000) == .givenUp)
  }

  @Test func afterAReconnectTheHoldersAreAskedForAnew() {
    var order = holding(["3/1"])
    order.sessionChanged()
    #expect(order.holdersFound(["2/2"], askedMs: 1_010, longestWaitMs: 10_000) == .waiting)
    #expect(order.holdersFound(["3/1"], askedMs: 1_020, longestWaitMs: 10_000) == .settled)
  }

  @Test func pausesGrowWithTheWait() {
    #expect(CommitOrder(settledThrough: 4).nextAskMs == nil)
    #expect(holding().nextAskMs == 1_000)
    #expect(holding(["3/1"], nowMs: 1_001).nextAskMs == 1_003)
    #expect(holding(["3/1"], nowMs: 1_800).nextAskMs == 1_900)
    #expect(holding(["3/1"], nowMs: 9_000).nextAskMs == 9_250)
  }

  @Test func nothingIsHeldBackOnceAllWasTaken() {
    var order = holding(["3/1"])
    order.allTaken()
    #expect(order.nextAskMs == nil)
  }
}

@Suite struct LateHolesTests {
  private func missing(_ ranges: ClosedRange<Int64>...) -> LateHoles {
    var late = LateHoles(holders: ["3/1"], nowMs: 1_000)
    for range in ranges { _ = late.add(range) }
    return late
  }

  @Test func whatHasComeIsNotMissingAnyMore() {
    var late = missing(5...5, 8...12)
    for id: Int64 in [5, 10, 8, 12] { #expect(late.remove(id) == true) }
    #expect(late.ranges == [9...9, 11...11])
    for id: Int64 in [10, 7] { #expect(late.remove(id) == false) }
  }

  @Test func onlySoManyRangesAreKept() {
    var late = missing()
    for id in 1...Int64(LateHoles.maximumRanges) {
      #expect(late.add((10 * id)...(10 * id + 5)) == false)
    }
    #expect(late.add(9_000...9_000) == true)
    #expect(late.ranges.count == LateHoles.maximumRanges)
    #expect(late.ranges.first == 20...25)
    #expect(late.remove(22) == true)
    #expect(late.ranges.count == LateHoles.maximumRanges)
  }

  @Test func holdersGoAsTheyEnd() {
    var late = missing(5...5)
    late.add(holders: ["4/1", "3/1"])
    late.holdersFound(["9/9", "4/1"], askedMs: 1_100)
    #expect(late.holders == ["4/1"])
    late.holdersFound(["9/9"], askedMs: 1_200)
    #expect(late.holders.isEmpty)
  }

  @Test func pausesGrowWithTheWait() {
    var late = missing(5...5)
    #expect(late.nextAskMs == 1_250)
    late.holdersFound(["3/1"], askedMs: 17_000)
    #expect(late.nextAskMs == 19_000)
    late.holdersFound(["3/1"], askedMs: 101_000)
    #expect(late.nextAskMs == 106_000)
  }
}

extension CommitOrder {
  /// An answer that comes at once.
  fileprivate mutating func holdersFound(
    _ current: [Holder], askedMs: Int64, longestWaitMs: Int64
  ) -> Outcome {
    holdersFound(
      current, askedMs: askedMs, answeredMs: askedMs, longestWaitMs: longestWaitMs)
  }
}
