import Testing

@testable import Millstream

@Suite struct StreamReaderTests {
  @Test func firstSubscriberMakesItLook() {
    var reader = StreamReader()
    #expect(reader.lookWanted() == .look)
    #expect(!reader.isKnown)
    #expect(reader.found(hasNews: false) == .none)
    #expect(reader.isKnown)
  }

  @Test func wakeUpReadsUntilAPageIsShort() {
    var reader = following()
    #expect(reader.woken() == .read)
    #expect(reader.pageRead(isShort: false) == .read)
    #expect(reader.pageRead(isShort: true) == .none)
    #expect(!reader.isBusy)
  }

  @Test func wakeUpDuringAReadMakesItReadAgain() {
    var reader = following()
    #expect(reader.woken() == .read)
    #expect(reader.woken() == .none)
    #expect(reader.woken() == .none)
    #expect(reader.pageRead(isShort: true) == .read)
    #expect(reader.pageRead(isShort: true) == .none)
  }

  @Test func lookThatIsWantedDuringAReadComesBeforeTheNextRead() {
    var reader = following()
    #expect(reader.woken() == .read)
    #expect(reader.lookWanted() == .none)
    #expect(reader.pageRead(isShort: false) == .look)
    #expect(reader.found(hasNews: true) == .read)
    #expect(reader.pageRead(isShort: true) == .none)
  }

  @Test func wakeUpDuringALookMakesItRead() {
    var reader = StreamReader()
    _ = reader.lookWanted()
    #expect(reader.woken() == .none)
    #expect(reader.found(hasNews: false) == .read)
  }

  @Test func newsFromALookAreRead() {
    var reader = following()
    #expect(reader.lookWanted() == .look)
    #expect(reader.found(hasNews: true) == .read)
  }

  @Test func absentStreamIsLookedAtWhenWoken() {
    var reader = StreamReader()
    _ = reader.lookWanted()
    #expect(reader.foundAbsent() == .none)
    #expect(reader.isKnown)
    #expect(reader.woken() == .look)
    #expect(reader.woken() == .none)
    #expect(reader.foundAbsent() == .look)
    #expect(reader.found(hasNews: true) == .read)
  }

  @Test func failureForgetsTheQuestionButNotWhatIsKnown() {
    var reader = following()
    _ = reader.woken()
    reader.failed()
    #expect(reader.isKnown && !reader.isBusy)
    #expect(reader.woken() == .read)
    var unknown = StreamReader()
    _ = unknown.lookWanted()
    unknown.failed()
    #expect(!unknown.isKnown)
    #expect(unknown.lookWanted() == .look)
  }

  private func following() -> StreamReader {
    var reader = StreamReader()
    _ = reader.lookWanted()
    _ = reader.found(hasNews: false)
    return reader
  }
}
