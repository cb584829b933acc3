/// What was read of the table of controls, and what has to be read: none is acted on twice, and none is missed
/// that is still there. It asks nothing itself.
///
/// What is read again with each look is what transactions have written that were open at the look before: of
/// those that had ended, everything was seen then. So the order in which they commit does not matter.
struct ControlReading {
  /// A row.
  struct Control {
    var transaction: String
    var id: Int64
    var ageMs: Int64
  }

  enum Question: Equatable {
    /// Whether the table is there.
    case look
    /// The page behind this place.
    case page(transaction: String, id: Int64)
  }

  static let pageRows = 1_000
  /// So many are remembered of one look. Those beyond are closed a second time at worst.
  private static let longestMemory = 100_000
  private static let retryMs: Int64 = 5_000

  private var isWanted = false
  private var isAsking = false
  private var isThere = false
  /// Not before, after something went wrong.
  private var notBeforeMs: Int64 = 0
  /// All that transactions below this one have written was read.
  private var floor = "0"
  /// What was read at the last look.
  private var seen: Set<Int64> = []
  /// What was created before is not for us: it was acted on, or we were not there. Nil: everything is.
  private var sinceMs: Int64?
  private var lastReadMs: Int64
  private var timeline = ""
  /// The look that is under way.
  private var found: Set<Int64> = []
  private var nextFloor: String?
  private var place: (transaction: String, id: Int64)?
  private var rowsOfPage = 0

  /// Nobody was connected before `nowMs`, in milliseconds of the monotonic clock.
  init(nowMs: Int64) {
    sinceMs = nowMs
    lastReadMs = nowMs
  }

  /// There may be something new.
  mutating func wanted() { isWanted = true }

  /// Something has to be asked, now or after a while.
  var hasQuestion: Bool { (isWanted || place != nil) && !isAsking }

  /// What has to be asked now; nil: nothing. One question is under way at a time.
  mutating func nextQuestion(nowMs: Int64) -> Question? {
    guard hasQuestion, nowMs >= notBeforeMs else { return nil }
    isAsking = true
    guard isThere else { return .look }
    // What comes from here on may be too late for this look.
    if place == nil { isWanted = false }
    return .page(transaction: place?.transaction ?? floor, id: place?.id ?? 0)
  }

  /// The table may be read, or not.
  mutating func lookEnded(mayRead: Bool) {
    isAsking = false
    isThere = mayRead
    // The next that is notified asks again.
    if !mayRead { isWanted = false }
  }

  /// Each row of an answer; `oldestOpen`: the oldest transaction that was open. Says whether it is to be acted on.
  mutating func rowRead(_ control: Control?, oldestOpen: String, nowMs: Int64) -> Bool {
    if nextFloor == nil { nextFloor = oldestOpen }
    guard let control else { return false }
    rowsOfPage += 1
    place = (control.transaction, control.id)
    if found.count < ControlReading.longestMemory { found.insert(control.id) }
    if seen.contains(control.id) { return false }
    return sinceMs.map { nowMs - control.ageMs >= $0 } ?? true
  }

  /// The page was read.
  mutating func pageEnded(nowMs: Int64) {
    isAsking = false
    if rowsOfPage == ControlReading.pageRows {
      rowsOfPage = 0
      return
    }
    floor = nextFloor ?? floor
    seen = found
    sinceMs = nil
    lastReadMs = nowMs
    forgetLook()
  }

  /// There was no answer.
  mutating func failed(isSessionLost: Bool, nowMs: Int64) {
    isAsking = false
    isWanted = true
    isThere = false
    seen.formUnion(found)
    forgetLook()
    if !isSessionLost { notBeforeMs = nowMs + ControlReading.retryMs }
  }

  /// The session is new. With another history than before, transactions have new numbers.
  mutating func sessionReady(timeline: String) {
    isWanted = true
    if !timeline.isEmpty {
      if !self.timeline.isEmpty && timeline != self.timeline {
        floor = "0"
        sinceMs = sinceMs ?? lastReadMs
      }
      self.timeline = timeline
    }
  }

  private mutating func forgetLook() {
    found = []
    nextFloor = nil
    place = nil
    rowsOfPage = 0
  }
}
