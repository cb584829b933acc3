import Testing

@testable import Millstream

@Suite struct PresenceTableTests {
  private static let room = PresenceStream(store: .native, name: Array("room".utf8))
  private let ann = PresenceKey(room, member: Array("ann".utf8))
  private let bob = PresenceKey(room, member: Array("bob".utf8))
  private var table = PresenceTable(
    PresenceTable.Limits(
      graceMs: 1_000, touchMs: 10_000, answerMs: 100, maximumMembers: 3, rowsInStatement: 2))

  @discardableResult
  private mutating func enter(_ key: PresenceKey, _ metadata: String = "{}", at ms: Int64 = 0)
    -> PresenceTable.Entry
  {
    table.entered(key, metadata: Array(metadata.utf8), nowMs: ms)
  }

  private func write(
    _ key: PresenceKey, _ reason: PresenceTable.Reason, _ metadata: String = "{}"
  ) -> PresenceTable.Write {
    PresenceTable.Write(key: key, metadata: Array(metadata.utf8), reason: reason)
  }

  /// Ann has been written, and her last connection has ended.
  private mutating func leaveAfterJoin() {
    enter(ann)
    _ = table.takeWrites(nowMs: 0)
    table.left(ann, nowMs: 0)
  }

  /// The others were asked, and the answer has come.
  private mutating func ask(at ms: Int64) -> [PresenceTable.Departure] {
    let departures = table.takeQuestions()
    table.asked(departures, at: Array("t\(ms)".utf8), nowMs: ms)
    return departures
  }

  @Test mutating func severalConnectionsAreOneMember() {
    enter(ann)
    enter(ann)
    #expect(table.takeWrites(nowMs: 0) == [write(ann, .join)])
    table.left(ann, nowMs: 0)
    #expect(table.presentCount == 1 && table.takeQuestions().isEmpty)
    table.left(ann, nowMs: 0)
    #expect(table.presentCount == 0 && table.takeQuestions().map(\.key) == [ann])
  }

  @Test mutating func whoGoesBeforeAnythingWasWrittenWasNeverThere() {
    enter(ann)
    table.left(ann, nowMs: 0)
    #expect(table.isEmpty && table.takeWrites(nowMs: 0).isEmpty && table.takeQuestions().isEmpty)
  }

  @Test mutating func theRowGoesAtTheEndOfTheGrace() {
    leaveAfterJoin()
    #expect(ask(at: 5).count == 1)
    #expect(table.takeLeaves(nowMs: 999).isEmpty)
    let leaves = table.takeLeaves(nowMs: 1_000)
    #expect(leaves == [PresenceTable.Leave(key: ann, cutoff: Array("t5".utf8))])
    table.leavesEnded(leaves)
    #expect(table.isEmpty)
  }

  @Test mutating func nothingGoesBeforeOthersCouldAnswer() {
    leaveAfterJoin()
    #expect(table.takeLeaves(nowMs: 5_000).isEmpty)
    #expect(ask(at: 5_000).count == 1)
    #expect(table.takeLeaves(nowMs: 5_099).isEmpty)
    #expect(table.takeLeaves(nowMs: 5_100).count == 1)
  }

  @Test mutating func whoIsBackInTimeHasNeverLeft() {
    leaveAfterJoin()
    #expect(ask(at: 0).count == 1)
    enter(ann, at: 900)
    #expect(table.takeLeaves(nowMs: 2_000).isEmpty)
    #expect(table.takeWrites(nowMs: 2_000) == [write(ann, .touch)])
  }

  @Test mutating func whoIsBackWithOtherMetadataIsWritten() {
    leaveAfterJoin()
    enter(ann, #"{"a":1}"#, at: 900)
    #expect(table.takeWrites(nowMs: 900) == [write(ann, .join, #"{"a":1}"#)])
  }

  @Test mutating func whoIsBackWhileItsRowGoesJoins() {
    leaveAfterJoin()
    #expect(ask(at: 0).count == 1)
    let leaves = table.takeLeaves(nowMs: 1_000)
    enter(ann, at: 1_001)
    table.leavesEnded(leaves)
    #expect(table.presentCount == 1)
    #expect(table.takeWrites(nowMs: 1_001) == [write(ann, .join)])
  }

  @Test mutating func anAnswerOfAnEarlierDepartureCountsForNothing() {
    leaveAfterJoin()
    let earlier = table.takeQuestions()
    enter(ann, at: 10)
    table.left(ann, nowMs: 20)
    table.asked(earlier, at: Array("old".utf8), nowMs: 30)
    #expect(table.takeLeaves(nowMs: 5_000).isEmpty)
    #expect(table.takeQuestions().map(\.key) == [ann])
  }

  @Test mutating func whoIsAskedForIsTouchedIfItIsHere() {
    enter(ann)
    _ = table.takeWrites(nowMs: 0)
    table.wasAsked(ann)
    table.wasAsked(bob)
    #expect(table.takeWrites(nowMs: 0) == [write(ann, .touch)])
    table.left(ann, nowMs: 0)
    table.wasAsked(ann)
    #expect(table.takeWrites(nowMs: 0).isEmpty)
  }

  @Test mutating func rowsAreTouchedOnceAnInterval() {
    enter(ann)
    _ = table.takeWrites(nowMs: 0)
    #expect(table.takeWrites(nowMs: 9_999).isEmpty)
    #expect(table.takeWrites(nowMs: 10_000) == [write(ann, .touch)])
    #expect(table.takeWrites(nowMs: 19_999).isEmpty)
    // Whoever is away is not touched, or nobody could remove it.
    table.left(ann, nowMs: 19_999)
    #expect(table.takeWrites(nowMs: 20_000).isEmpty)
    enter(ann, at: 20_001)
    #expect(table.takeWrites(nowMs: 20_001) == [write(ann, .touch)])
    #expect(table.takeWrites(nowMs: 30_001) == [write(ann, .touch)])
  }

  @Test mutating func aBatchHasAnEndAndSoHaveMembers() {
    let cid = PresenceKey(PresenceTableTests.room, member: Array("cid".utf8))
    let dan = PresenceKey(PresenceTableTests.room, member: Array("dan".utf8))
    #expect([ann, bob, cid].map { enter($0) } == [.counted, .counted, .counted])
    #expect(enter(dan) == .full)
    #expect(table.takeWrites(nowMs: 0).map(\.key) == [ann, bob])
    #expect(table.takeWrites(nowMs: 0).map(\.key) == [cid])
  }

  @Test mutating func whatWasNotWrittenIsTriedAgain() {
    enter(ann)
    enter(bob)
    let writes = table.takeWrites(nowMs: 0)
    table.left(bob, nowMs: 0)
    table.writesFailed(writes)
    #expect(table.takeWrites(nowMs: 0) == [write(ann, .join)])
  }

  @Test mutating func afterTheSessionWasLostAllIsWrittenAgain() {
    leaveAfterJoin()
    enter(bob)
    _ = table.takeWrites(nowMs: 0)
    table.sessionLost()
    #expect(table.takeQuestions().isEmpty)
    table.writeAll()
    #expect(table.takeWrites(nowMs: 0) == [write(bob, .join)])
  }

  @Test mutating func whatAllAreWrittenForIsNeverATouch() {
    enter(ann)
    enter(bob)
    _ = table.takeWrites(nowMs: 0)
    table.wasAsked(bob)
    table.writeAll()
    #expect(table.takeWrites(nowMs: 1) == [write(bob, .join), write(ann, .join)])
    // Bob has his place among those who are to be touched from before.
    #expect(table.takeWrites(nowMs: 2).allSatisfy { $0 == write(bob, .touch) })
    #expect(table.takeWrites(nowMs: 3).isEmpty)
    table.writesFailed([write(ann, .join)])
    #expect(table.takeWrites(nowMs: 4) == [write(ann, .join)])
  }

  @Test mutating func whoLeavesWhileNobodyCanBeToldIsForgotten() {
    enter(ann)
    _ = table.takeWrites(nowMs: 0)
    table.sessionLost()
    table.left(ann, nowMs: 0)
    #expect(table.isEmpty)
    // However often it comes and goes.
    for _ in 0..<10_000 {
      enter(ann)
      table.left(ann, nowMs: 0)
    }
    enter(ann)
    #expect(table.takeWrites(nowMs: 0) == [write(ann, .join)])
  }

  @Test mutating func atTheEndNobodyIsWaitedFor() {
    leaveAfterJoin()
    #expect(ask(at: 0).count == 1)
    table.end()
    #expect(table.takeLeaves(nowMs: 100).count == 1)
  }

  @Test mutating func metadataThatWasRefusedIsNotGivenAgain() {
    enter(ann, #"{"a":1}"#)
    let refused = table.takeWrites(nowMs: 0)
    table.metadataRefused(refused[0])
    #expect(table.takeWrites(nowMs: 10_000) == [write(ann, .touch)])
    enter(ann, #"{"a":2}"#)
    table.metadataRefused(refused[0])
    #expect(table.takeWrites(nowMs: 10_000) == [write(ann, .join, #"{"a":2}"#)])
  }

  @Test mutating func whoComesAndGoesWhileNobodyIsAskedLeavesNothingBehind() {
    enter(ann)
    _ = table.takeWrites(nowMs: 0)
    for _ in 0..<10_000 {
      table.left(ann, nowMs: 0)
      enter(ann)
    }
    #expect(table.queueLength < 2_000)
    table.left(ann, nowMs: 0)
    #expect(ask(at: 0).map(\.key) == [ann])
    #expect(table.takeLeaves(nowMs: 1_000).map(\.key) == [ann])
  }

  @Test mutating func aStoreCanBeForgotten() {
    enter(ann)
    table.forget(.native)
    #expect(table.isEmpty && table.presentCount == 0)
    table.left(ann, nowMs: 0)
    #expect(table.takeWrites(nowMs: 0).isEmpty && table.presentCount == 0)
  }
}

@Suite struct PresenceListTests {
  private let room = PresenceStream(store: .pgmq, name: Array("room".utf8))
  private let log = ObjectIdentifier(PresenceListTests.self)
  private var lists = PresenceLists()

  private func seat(_ slot: UInt32) -> PresenceLists.Seat {
    PresenceLists.Seat(slot: slot, id: ConnectionID(value: UInt64(slot)))
  }

  @Test mutating func thoseWhoComeTogetherShareOne() {
    lists.want(seat(1), room, heardBy: log)
    lists.want(seat(2), room, heardBy: log)
    let questions = lists.take(5)
    #expect(questions.map(\.stream) == [room])
    // Who came first is not kept: all of them are told at once.
    #expect(lists.answered(questions[0]).seats.map(\.slot).sorted() == [1, 2])
    #expect(lists.isEmpty)
  }

  @Test mutating func whatIsHeardMeanwhileIsSaidBehindIt() {
    lists.want(seat(1), room, heardBy: log)
    lists.heard([1], by: log)
    let questions = lists.take(5)
    lists.heard([2], by: log)
    lists.heard([3], by: ObjectIdentifier(PresenceTableTests.self))
    #expect(lists.answered(questions[0]).heard == [[2]])
  }

  @Test mutating func whoComesMeanwhileHasTheNext() {
    lists.want(seat(1), room, heardBy: log)
    let first = lists.take(5)
    lists.want(seat(2), room, heardBy: log)
    #expect(lists.take(5).isEmpty)
    #expect(lists.answered(first[0]).seats == [seat(1)])
    let second = lists.take(5)
    #expect(lists.answered(second[0]).seats == [seat(2)])
    #expect(lists.isEmpty)
  }

  @Test mutating func veryManyAreToldByHundreds() {
    for slot in 0..<300 { lists.want(seat(UInt32(slot)), room, heardBy: log) }
    var told: Set<UInt32> = []
    for count in [128, 128, 44] {
      let seats = lists.take(9).first.map { lists.answered($0).seats } ?? []
      #expect(seats.count == count)
      told.formUnion(seats.map(\.slot))
    }
    #expect(told.count == 300 && lists.isEmpty)
  }

  @Test mutating func tooMuchWasHeardAndIsNotKept() throws {
    lists.want(seat(1), room, heardBy: log)
    let question = try #require(lists.take(1).first)
    let frame = [UInt8](repeating: 1, count: 1024)
    for _ in 0..<100 { lists.heard(frame, by: log) }
    #expect(lists.answered(question).seats.isEmpty)
    let again = try #require(lists.take(1).first)
    let answer = lists.answered(again)
    #expect(answer.seats == [seat(1)] && answer.heard.isEmpty)
  }

  @Test mutating func whoAsksAgainWaitsOnceAndWhoIsGoneNoLonger() {
    for _ in 0..<10_000 { lists.want(seat(1), room, heardBy: log) }
    lists.want(seat(2), room, heardBy: log)
    lists.left(seat(1), room, heardBy: log)
    #expect(lists.take(1).first.map { lists.answered($0).seats } == [seat(2)])
    for _ in 0..<10_000 {
      lists.want(seat(1), room, heardBy: log)
      lists.left(seat(1), room, heardBy: log)
    }
    #expect(lists.isEmpty && lists.queueLength < 2_000)
    lists.want(seat(1), room, heardBy: log)
    #expect(lists.take(9).count == 1 && lists.take(9).isEmpty)
  }

  @Test mutating func aListThatDidNotComeIsAskedForAgain() {
    lists.want(seat(1), room, heardBy: log)
    let first = lists.take(5)
    lists.failed(first[0])
    let again = lists.take(5)
    // Too much was heard to be kept.
    let much = [UInt8](repeating: 1, count: PresenceLists.maximumHeardBytes + 1)
    lists.heard(much, by: log)
    #expect(lists.answered(again[0]).seats.isEmpty)
    let last = lists.take(5)
    #expect(lists.answered(last[0]).seats == [seat(1)])
  }
}

@Suite struct PresenceTextTests {
  @Test func questionsComeBackAsTheyWere() {
    let keys = (0..<500).map { number in
      PresenceKey(
        PresenceStream(
          store: number % 2 == 0 ? .pgmq : .native, name: Array("a\"\\\(number)".utf8)),
        member: Array("é\n\(number)".utf8))
    }
    let payloads = PresenceQuestion.payloads(keys)
    #expect(payloads.allSatisfy { $0.count < 8_000 } && payloads.count > 1)
    #expect(payloads.flatMap { $0.withUnsafeBytes { PresenceQuestion.keys($0) ?? [] } } == keys)
  }

  @Test(arguments: ["", "{}", "[1]", #"["native","a"]"#, #"["native","a","b""#])
  func nobodyIsAskedForWithAnythingElse(_ text: String) {
    #expect(Array(text.utf8).withUnsafeBytes { PresenceQuestion.keys($0) } == nil)
  }

  @Test func namesThatPostgresCannotKeep() {
    let room = PresenceStream(store: .native, name: [97])
    #expect(PresenceKey(room, memberNamed: "ann\0") == nil)
    #expect(PresenceKey(room, memberNamed: "") == nil)
    #expect(PresenceKey(room, memberNamed: String(repeating: "x", count: 513)) == nil)
    #expect(PresenceKey(room, memberNamed: String(repeating: "x", count: 512)) != nil)
  }

  @Test(arguments: [
    (#"{"a":1}"#, true), ("", false), (#"{"a":1}{"#, false), ("[]", false), ("null", false),
    (#"{"a":"\u0000"}"#, false),
    (#"{"a":1e131000}"#, false), (#"{"a":[1E-1500,1e+600]}"#, false),
    (#"{"a":[1e300,-2.5E-7],"e1":"1e9999\"1e9999","b":[true,false]}"#, true),
    (#"{"a":1e99999999999999999999}"#, false),
    (#"{"a":"\u0001"}"#, true), (#"{"a":""# + String(repeating: "x", count: 2_048) + #""}"#, false),
  ])
  func metadataIsAnObject(_ text: String, isTaken: Bool) {
    let found = Array(text.utf8).withUnsafeBytes { bytes in
      JSONScanner.value(of: bytes).flatMap { MemberMetadata.text(of: $0) }
    }
    #expect(found == (isTaken ? text : nil))
    #expect(ConnectionContext.isMetadata(text) == isTaken)
  }

  @Test func patternsForLike() {
    #expect(PresenceSQL.like(#"a*_%\"#) == Array(#"a%\_\%\\"#.utf8))
  }
}
