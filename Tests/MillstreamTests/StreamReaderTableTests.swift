import Testing

@testable import Millstream

/// Every event in every phase, and that nothing is ever forgotten.
@Suite struct StreamReaderTableTests {
  enum Phase: CaseIterable, Sendable {
    case unknown, looking, absent, following, lookingAgain, reading

    /// A reader that was brought here by events alone.
    var reader: StreamReader {
      var reader = StreamReader()
      if self == .unknown { return reader }
      _ = reader.lookWanted()
      switch self {
      case .unknown, .looking: break
      case .absent: _ = reader.foundAbsent()
      case .following: _ = reader.found(hasNews: false)
      case .lookingAgain:
        _ = reader.found(hasNews: false)
        _ = reader.lookWanted()
      case .reading: _ = reader.found(hasNews: true)
      }
      return reader
    }
  }

  @Test(
    arguments: [
      (.unknown, .look), (.looking, .none), (.absent, .look), (.following, .look),
      (.lookingAgain, .none), (.reading, .none),
    ] as [(Phase, StreamReader.Action)])
  func lookIsWanted(in phase: Phase, action: StreamReader.Action) {
    var reader = phase.reader
    #expect(reader.lookWanted() == action)
    #expect(reader.isBusy)
  }

  @Test(
    arguments: [
      (.unknown, .look), (.looking, .none), (.absent, .look), (.following, .read),
      (.lookingAgain, .none), (.reading, .none),
    ] as [(Phase, StreamReader.Action)])
  func wokenUp(in phase: Phase, action: StreamReader.Action) {
    var reader = phase.reader
    #expect(reader.woken() == action)
    #expect(reader.isBusy)
  }

  @Test(arguments: [Phase.looking, .lookingAgain])
  func answerToALook(in phase: Phase) {
    for (hasNews, action) in [(true, StreamReader.Action.read), (false, .none)] {
      var reader = phase.reader
      #expect(reader.found(hasNews: hasNews) == action)
      #expect(reader.isKnown && reader.isBusy == hasNews && !reader.isAbsent)
    }
    var reader = phase.reader
    #expect(reader.foundAbsent() == .none)
    #expect(reader.isKnown && !reader.isBusy && reader.isAbsent)
  }

  /// Whatever comes while a question is under way is followed by another question.
  @Test(arguments: [Phase.looking, .lookingAgain, .reading], [true, false])
  func nothingIsForgottenWhileBusy(in phase: Phase, isWakeUp: Bool) {
    for answer in answers(in: phase) {
      var reader = phase.reader
      _ = isWakeUp ? reader.woken() : reader.lookWanted()
      #expect(answer(&reader) != .none)
      #expect(reader.isBusy)
      let next = answers(in: .looking) + answers(in: .reading)
      #expect(
        next.contains { answer in
          var copy = reader; return answer(&copy) == .none
        })
    }
  }

  @Test(
    arguments: [
      (.unknown, .look), (.looking, .look), (.absent, .look), (.following, .read),
      (.lookingAgain, .read), (.reading, .read),
    ] as [(Phase, StreamReader.Action)])
  func afterAFailureAWakeUpAsksAgain(in phase: Phase, action: StreamReader.Action) {
    var reader = phase.reader
    let wasKnown = reader.isKnown
    reader.failed()
    #expect(!reader.isBusy && reader.isKnown == wasKnown)
    #expect(reader.woken() == action)
  }

  /// The steps: absent, woken, and the look fails; the next wake-up must not be dropped.
  @Test func lookThatFailsAfterAbsenceIsRepeatedWhenWoken() {
    var reader = Phase.absent.reader
    #expect(reader.woken() == .look)
    reader.failed()
    #expect(reader.woken() == .look)
    #expect(reader.found(hasNews: true) == .read)
  }

  @Test(arguments: [UInt64](1...50)) func aWakeUpIsAlwaysAnsweredInTheEnd(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var reader = Phase.following.reader
    var pending = StreamReader.Action.none
    var unseen = false
    for _ in 0..<500 {
      let asked: StreamReader.Action
      if Bool.random(using: &random) || pending == .none {
        unseen = true
        asked = reader.woken()
      } else {
        if pending == .read { unseen = false }
        let isRead = pending == .read
        pending = .none
        asked = isRead ? reader.pageRead(isShort: true) : reader.found(hasNews: false)
      }
      if asked != .none { pending = asked }
      #expect(!unseen || pending != .none)
    }
  }

  private typealias Answer = (inout StreamReader) -> StreamReader.Action

  private func answers(in phase: Phase) -> [Answer] {
    if phase == .reading { return [{ $0.pageRead(isShort: true) }] }
    return [{ $0.found(hasNews: false) }, { $0.foundAbsent() }]
  }
}
