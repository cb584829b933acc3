/// What a store says of a stream that was looked at.
struct Finding {
  /// The highest id where the store does not say: any id may exist.
  static let unknownID = Int64.max

  /// Tells this incarnation of the stream from others; never 0.
  var identity: Int64
  /// No id above this one exists.
  var highestID: Int64
  /// Where a reader begins that wants what comes from now on.
  var tip: Int64
  /// Part of the ids on the wire, where the store has such a thing.
  var epoch: UInt32?
  /// For so long after a wake-up the store may send none.
  var throttleMs: Int64 = 0
  /// Whose locks say who may have taken an id that cannot be seen yet (0: the store has no such ids).
  var lockedRelation: Int64 = 0
  /// Ids below the tip that transactions may still fill which have been open for long.
  var lateHoles: [ClosedRange<Int64>] = []
  /// Which transactions these are among.
  var lateHolders: [CommitOrder.Holder] = []
}

/// What became of a message that a read has given.
enum Taking {
  case taken
  /// No more can be taken now; it has to be read again.
  case full
  /// It lies above a hole that may still be filled.
  case heldBack
}

/// How a read of new messages has ended.
enum ReadEnd: Equatable {
  /// There are no more.
  case short
  /// There may be more.
  case more
  /// The rest is held back, up to the highest id that the read gave.
  case held(through: Int64)
}

/// What a store does with what it found: the dispatcher, in practice.
protocol StoreReceiver: AnyObject {
  /// Looks at each message on its way; nil: none does.
  var filter: MessageFilter? { get }
  /// A stream was looked at; nil: the store has no such stream.
  func looked(at stream: Stream, _ finding: Finding?)
  /// Whether the log's last message is still the one of its id, where a look has found the stream.
  func checkedTip(of stream: Stream, _ finding: Finding, isSame: Bool)
  /// What lay between the log's tip and this id was removed before it could be read.
  func foundGap(in stream: Stream, oldest: Int64)
  /// A message above the log's tip.
  func take(_ message: Message, of stream: Stream) -> Taking
  /// All messages of a read were given.
  func readEnded(of stream: Stream, _ end: ReadEnd)
  /// A stream is there that was not known; `finding.tip` is right if nobody holds its lock.
  func foundTip(of stream: Stream, _ finding: Finding, holders: [CommitOrder.Holder])
  /// These transactions held the lock of the stream's ids some time after `askedMs`.
  func foundHolders(_ holders: [CommitOrder.Holder], of stream: Stream, askedMs: Int64)
  /// A message that was passed over has come, without its id; false: it cannot be taken now.
  func takeLate(_ message: Message, id: Int64, of stream: Stream) -> Bool
  /// What has come of those that were passed over was given; `isComplete`: all that there was.
  func lateReadEnded(of stream: Stream, isComplete: Bool)
  /// What has come of those that were passed over could not be read.
  func lateReadFailed(of stream: Stream, _ failure: QueryFailure)
  /// A page for those who are behind.
  func took(_ page: Page, of stream: Stream)
  /// What is known of a stream is not true any more.
  func lookWanted(at stream: Stream)
  /// A look or a read was not answered, and will not be.
  func questionFailed(of stream: Stream, _ failure: QueryFailure, page: Int64?)
}

/// Some messages above an id, for those who are behind, as frames.
struct Page {
  /// It begins with the first message above this id.
  var after: Int64
  /// It holds every message up to this id that there is.
  var through: Int64
  /// Whether there still is a message at or below `after`. If not, what is missing before the first
  /// message of the page was removed.
  var hasBefore: Bool
  var frames: Chunk

  /// Whether it is the one to go on with for a client that has everything up to `cursor`.
  func serves(_ cursor: Int64) -> Bool { cursor >= after && cursor < through }
}

/// Where messages are kept. A store answers questions about streams with calls of its receiver; what is
/// asked when is the dispatcher's business.
class MessageStore {
  let kind: StoreKind
  weak var receiver: (any StoreReceiver)?
  /// How many pages were asked for and have neither come nor failed.
  var openPages = 0

  /// How many messages are asked for at once, at most.
  static let pageRows = 500
  /// How many bytes of frames a page holds at most, if it holds more than one.
  static let pageBytes = 256 * 1024

  init(kind: StoreKind) {
    self.kind = kind
  }

  /// Whether an answer to what is asked now can be expected.
  var isAnswering: Bool { true }

  /// Sends what was asked so far.
  func flush() {}

  /// The session is new; a store may have to find out what it has to do with.
  func sessionReady() {}

  /// Called about once a minute: retention, where it is ours to look after.
  func maintain() {}

  /// Asks whether the streams are there, and how far they go: one question for all of them.
  func look(at streams: [Stream]) {
    preconditionFailure("a store says how to look")
  }

  /// Reads what is above the log's tip.
  func read(_ stream: Stream) {
    preconditionFailure("a store says how to read")
  }

  /// Reads a page for those who are behind.
  func readPage(of stream: Stream, after: Int64) {
    preconditionFailure("a store says how to read")
  }

  /// Asks who may still fill the holes of these streams: one question for all of them.
  func askHolders(of streams: [Stream], nowMs: Int64) {}

  /// Reads what has come of the messages that were passed over.
  func readLate(of stream: Stream) {}

  /// Finds where to begin in a stream some of whose ids are held by transactions that do not end.
  func findOpenHoles(of stream: Stream, _ finding: Finding, youngerThanMs: Int64) {}

  /// Asks whether the log's last message is still what the store has under its id.
  func checkTip(of stream: Stream, _ finding: Finding) {
    receiver?.checkedTip(of: stream, finding, isSame: true)
  }

  /// A look was not answered. Where the schema is not there, there is no stream either.
  func lookFailed(at stream: Stream, _ failure: QueryFailure) {
    if failure.isAbsence {
      receiver?.looked(at: stream, nil)
    } else {
      receiver?.questionFailed(of: stream, failure, page: nil)
    }
  }

  /// A read gave rows of another stream than the log is of: its rows count for nothing.
  func foundAnother(than stream: Stream) {
    receiver?.questionFailed(of: stream, .sessionLost, page: nil)
    receiver?.lookWanted(at: stream)
  }
}
