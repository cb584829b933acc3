import Testing

@testable import Millstream

/// Rows that transactions write and end as they like, and a reader that looks now and then.
@Suite struct ControlReadingTests {
  @Test func itLooksForTheTableFirstAndAsksOneThingAtATime() {
    let table = Table()
    #expect(table.next() == nil)
    table.reading.wanted()
    #expect(table.next() == .look)
    table.reading.wanted()
    #expect(table.next() == nil)
    table.reading.lookEnded(mayRead: false)
    #expect(table.next() == nil, "not before it is notified again")
    table.reading.wanted()
    #expect(table.next() == .look)
    table.reading.lookEnded(mayRead: true)
    #expect(table.next() == .page(transaction: "0", id: 0))
  }

  @Test func eachIsActedOnOnceWhateverTheOrderOfTheCommits() {
    let table = Table()
    // 7 is open, and 8 has committed above it.
    #expect(table.look([(8, 2)], oldestOpen: 7) == [2])
    #expect(table.look([(8, 2)], oldestOpen: 7) == [])
    #expect(table.look([(7, 1), (8, 2), (9, 3)], oldestOpen: 10) == [1, 3])
    #expect(table.look([], oldestOpen: 10) == [])
    #expect(table.lastFloor == "10")
    #expect(table.look([(10, 4)], oldestOpen: 11) == [4])
  }

  @Test func whatWasNotifiedWhileItReadIsReadAfterThat() {
    let table = Table()
    table.reading.wanted()
    _ = table.ask()
    table.reading.wanted()
    #expect(table.answer([(1, 1)], oldestOpen: 2) == [1])
    #expect(table.reading.hasQuestion)
  }

  @Test func manyComeInPagesOfOneLook() {
    let table = Table()
    let rows = (1...ControlReading.pageRows).map { (5, Int64($0)) }
    #expect(table.look(rows, oldestOpen: 5).count == rows.count)
    #expect(table.ask() == .page(transaction: "5", id: Int64(rows.count)))
    // What has committed between the pages, below the place, is found by the next look.
    #expect(table.answer([(5, 1_001)], oldestOpen: 9) == [1_001])
    #expect(!table.reading.hasQuestion)
    #expect(table.look([(5, 1_000), (6, 1_002)], oldestOpen: 9) == [1_002])
    #expect(table.lastFloor == "5")
  }

  @Test func whatIsOlderThanTheServerIsNotForIt() {
    var table = Table(startedMs: 10_000)
    #expect(table.look([(1, 1)], oldestOpen: 2, ageMs: 1_500, nowMs: 11_000) == [])
    #expect(
      table.look([(2, 2)], oldestOpen: 3, ageMs: 1_500, nowMs: 11_000) == [2], "it commits late")
    table = Table(startedMs: 10_000)
    #expect(table.look([(1, 1)], oldestOpen: 2, ageMs: 900, nowMs: 11_000) == [1])
  }

  @Test func aLostSessionIsAskedAgainAndARefusalAfterAWhile() {
    let table = Table()
    table.reading.wanted()
    _ = table.ask()
    _ = table.reading.rowRead(
      .init(transaction: "1", id: 1, ageMs: 0), oldestOpen: "1", nowMs: 0)
    table.reading.failed(isSessionLost: true, nowMs: 0)
    #expect(table.look([(1, 1), (1, 2)], oldestOpen: 3) == [2], "one was acted on")
    table.reading.wanted()
    _ = table.ask()
    table.reading.failed(isSessionLost: false, nowMs: 0)
    #expect(table.next(nowMs: 4_999) == nil)
    #expect(table.next(nowMs: 5_000) == .look)
  }

  @Test func afterAFailoverNumbersAreOtherOnes() {
    let table = Table()
    table.reading.sessionReady(timeline: "1")
    #expect(table.look([(900, 1)], oldestOpen: 901, nowMs: 1_000) == [1])
    table.reading.sessionReady(timeline: "1")
    _ = table.look([], oldestOpen: 901, nowMs: 2_000)
    #expect(table.lastFloor == "901")
    table.reading.sessionReady(timeline: "2")
    let found = table.look([(890, 33)], oldestOpen: 891, ageMs: 100, nowMs: 5_000)
    #expect(found == [33] && table.lastFloor == "0")
    table.reading.sessionReady(timeline: "3")
    #expect(table.look([(880, 1)], oldestOpen: 891, ageMs: 9_000, nowMs: 6_000) == [])
  }

  private final class Table {
    var reading: ControlReading
    var lastFloor = ""

    init(startedMs: Int64 = 0) {
      reading = ControlReading(nowMs: startedMs)
    }

    /// The ids that are acted on of what is there.
    func look(
      _ rows: [(Int, Int64)], oldestOpen: Int, ageMs: Int64 = 0, nowMs: Int64 = 0
    ) -> [Int64] {
      reading.wanted()
      _ = ask()
      return answer(rows, oldestOpen: oldestOpen, ageMs: ageMs, nowMs: nowMs)
    }

    func next(nowMs: Int64 = 0) -> ControlReading.Question? { reading.nextQuestion(nowMs: nowMs) }

    func ask() -> ControlReading.Question? {
      var question = reading.nextQuestion(nowMs: 0)
      if question == .look {
        reading.lookEnded(mayRead: true)
        question = reading.nextQuestion(nowMs: 0)
      }
      if case .page(let transaction, _) = question { lastFloor = transaction }
      return question
    }

    func answer(
      _ rows: [(Int, Int64)], oldestOpen: Int, ageMs: Int64 = 0, nowMs: Int64 = 0
    ) -> [Int64] {
      var found: [Int64] = []
      for (transaction, id) in rows {
        let control = ControlReading.Control(transaction: "\(transaction)", id: id, ageMs: ageMs)
        if reading.rowRead(control, oldestOpen: "\(oldestOpen)", nowMs: nowMs) { found.append(id) }
      }
      if rows.isEmpty {
        let isNew = reading.rowRead(nil, oldestOpen: "\(oldestOpen)", nowMs: nowMs)
        #expect(!isNew)
      }
      reading.pageEnded(nowMs: nowMs)
      return found
    }
  }
}
