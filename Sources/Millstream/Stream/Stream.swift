/// One stream that somebody is subscribed to: its log, its subscribers, and where reading stands.
final class Stream {
  let store: StoreKind
  /// What the store calls it: the name of a native stream, or the queue's table suffix.
  let storageName: [UInt8]
  /// What it is called by those outside.
  let publicIdentity: StreamIdentity
  /// The channels that wake it, beside those that wake everything.
  var channels: [String] = []

  // The fan-out comes by the unchecked ones in every slice. They are used from one thread, and nothing
  // calls back while one of them is being changed.
  @exclusivity(unchecked) var log = StreamLog(tip: 0, epoch: nil)
  /// How far the ids can be trusted.
  var order = CommitOrder.byID
  /// Whose locks say who may have taken an id that cannot be seen yet.
  var lockedRelation: Int64 = 0
  /// What was passed over because it did not come in time.
  var late: LateHoles?
  /// The store was asked for what is late and has not answered.
  var isLateAsked = false
  var reader = StreamReader()
  /// What tells this incarnation of the stream from an earlier one (0: none seen yet).
  var identity: Int64 = 0
  /// How often it has begun anew, with another identity or without: an answer to what was asked of the one
  /// before says nothing of this one.
  private(set) var incarnation = 0
  /// The highest id that may exist, as the store said when it was looked at last.
  var highestSeen: Int64 = 0
  /// Whether the last look made the stream begin anew because its ids had gone back. Another look
  /// follows as soon as all was read again: what goes back once more after that has done so anew.
  private(set) var wasJustBehind = false
  /// There are messages above the highest id that the store knows to have given out: somebody gives
  /// out ids beside it, and what it knows says nothing.
  private var hasForeignIDs = false
  /// How many rows are asked for at once: fewer where messages are so large that most would be read in
  /// vain.
  private(set) var readRows = MessageStore.pageRows
  /// For so long after a wake-up the store may keep silent about what is new.
  var throttleMs: Int64 = 0
  /// When all that it may have kept silent about can be read, in milliseconds of the monotonic clock.
  var throttleEndsMs: Int64 = 0
  /// When the dispatcher has to come by though nothing woke it, in milliseconds of the monotonic clock.
  var remindAtMs: Int64?

  /// Ephemeral broadcasts that wait until what was stored before them has been read.
  var ephemerals: [StreamMessage] = []
  /// How many may wait, of less than 8,000 bytes each; beyond that they overtake.
  static let maximumEphemerals = 256

  /// Those who get what is appended to the log.
  @exclusivity(unchecked) private(set) var live = MemberList()
  /// Those who are opening, or behind the log.
  private(set) var waiting = MemberList()
  /// The pass over `live` that is under way.
  @exclusivity(unchecked) var pass = FanOutPass()
  /// The pages that were asked for and have not come, by the id that they begin after.
  var requestedPages: Set<Int64> = []
  /// Pages that were read a moment ago; the dispatcher's shelf says for how long.
  var keptPages: [PageShelf.Kept] = []
  var isInPageQueue = false
  /// New messages wait in the store until the pass under way has sent what is in the log.
  var isReadPostponed = false
  /// The store was not read to its end since, or the session was another then: messages may have come and
  /// gone.
  var wasInterrupted = false
  /// The server's history is another than before: it may have given ids out again.
  var isInDoubt = false
  /// The look that is under way was asked for by nothing, and no notification has come since.
  var isSafetyLook = false
  /// How many times the store has said where it is.
  var looksAnswered = 0
  /// The store refuses to say anything of it: nobody waits for that with their opening.
  var isLookFailing = false
  /// It has refused once since it last said something.
  var wasRefused = false
  /// Messages that went into its logs; wraps. What the walk over all streams has seen of it last.
  var messageCount: UInt32 = 0
  var countedMessages: UInt32 = 0
  /// How many of them statistics have been written of, and how long the last pass was, in microseconds.
  var recordedMessages: UInt32 = 0
  var lastPassUs: Int64 = 0
  /// Its number in the registry's list.
  var registryIndex = 0
  /// Since when nobody is subscribed, in milliseconds of the monotonic clock.
  var emptySinceMs: Int64?

  /// `name`: what clients know it by; nil: as the store does.
  init(store: StoreKind, storageName: [UInt8], name: String? = nil) {
    self.store = store
    self.storageName = storageName
    publicIdentity = StreamIdentity(
      store: store, name: name ?? String(decoding: storageName, as: UTF8.self))
  }

  var subscriberCount: Int { live.count + waiting.count }

  /// Whether anybody is subscribed to it, or just was and may come back.
  var isKept: Bool { subscriberCount > 0 || emptySinceMs != nil }

  /// Whether no id as high as those that we have, or know of, was given out: the stream was emptied and begun
  /// anew, or restored. If ours are still higher when all was read again, there are foreign ids.
  func hasGoneBack(to highestID: Int64) -> Bool {
    guard reader.isKnown, highestID < log.tip else {
      wasJustBehind = false
      hasForeignIDs = hasForeignIDs && highestID < log.tip
      return reader.isKnown && highestSeen != Finding.unknownID && highestID < highestSeen
    }
    if wasJustBehind { hasForeignIDs = true }
    wasJustBehind = true
    return !hasForeignIDs
  }

  /// All of it is new from here on.
  func beginAnew(_ log: StreamLog) {
    self.log = log
    incarnation += 1
    requestedPages = []
  }

  /// All was read again after the ids had gone back, and nobody has looked since.
  var isResetUnconfirmed: Bool { wasJustBehind && !hasForeignIDs }

  /// A read gave `taken` messages; `wasCut`: there were more in it than could be taken.
  func adaptReads(taken: Int, wasCut: Bool) {
    readRows = wasCut ? max(taken, 1) : min(readRows * 2, MessageStore.pageRows)
  }

  /// The session is another: whatever was asked on the old one will not be answered.
  func questionsLost() {
    reader.failed()
    order.sessionChanged()
    wasInterrupted = true
    isLateAsked = false
    requestedPages = []
    isReadPostponed = false
  }

  /// Takes a connection in, as one of those who wait.
  func join(_ connection: ConnectionRef) {
    connection.pointee.stream = Unmanaged.passUnretained(self)
    waiting.add(connection)
  }

  /// Moves a connection that waited into the log at `position`.
  func goLive(_ connection: ConnectionRef, at position: UInt64) {
    var visited = 0
    waiting.remove(connection, visited: &visited)
    connection.pointee.phase = .live
    connection.pointee.position = position
    live.add(connection)
  }

  /// Moves a live connection back among those who read from the store.
  func fallBehind(_ connection: ConnectionRef) {
    live.remove(connection, visited: &pass.next)
    connection.pointee.phase = .catchingUp
    waiting.add(connection)
  }

  /// Whether a connection of this stream is, or was when it ended, in the log.
  func isInLog(_ connection: ConnectionRef) -> Bool {
    let index = Int(connection.pointee.memberIndex)
    return index < live.count && live.members[index] == connection
  }

  /// Lets a connection go, whatever list it is in.
  func leave(_ connection: ConnectionRef) {
    if isInLog(connection) {
      live.remove(connection, visited: &pass.next)
    } else {
      var visited = 0
      waiting.remove(connection, visited: &visited)
    }
    connection.pointee.stream = nil
  }
}
