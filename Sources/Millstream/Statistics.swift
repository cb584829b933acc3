/// What an instance has done since it was made. Counters only grow.
public struct Statistics: Sendable {
  /// Connections taken in.
  public internal(set) var opened: UInt64 = 0
  /// Connections ended, by `CloseReason.rawValue`.
  public internal(set) var closed = [UInt64](repeating: 0, count: CloseReason.allCases.count)
  /// Successful `send` calls of frames.
  public internal(set) var sends: UInt64 = 0
  /// Bytes of frames that the kernel took.
  public internal(set) var bytesSent: UInt64 = 0
  /// Messages taken from the stores, or from notifications, into a log.
  public internal(set) var messages: UInt64 = 0
  /// Notifications that were neither a wake-up nor a broadcast, and were dropped.
  public internal(set) var invalidNotifications: UInt64 = 0
  /// Ephemeral broadcasts that were dropped because their stream could not take more.
  public internal(set) var droppedEphemerals: UInt64 = 0
  /// Notifications that the process had and this loop, held up for too long, did not get. It has looked
  /// at everything instead.
  public internal(set) var droppedNotifications: UInt64 = 0
  /// Pages that were read for clients that were behind.
  public internal(set) var replayPages: UInt64 = 0
  /// Times that messages were held back because one below them might still come.
  public internal(set) var holes: UInt64 = 0
  /// Holes that were passed because a transaction was open for longer than the limit.
  public internal(set) var givenUpHoles: UInt64 = 0
  /// Passed holes that are not looked after any more because there were too many.
  public internal(set) var forgottenHoles: UInt64 = 0
  /// Messages that came after their place in the order had been passed; sent without an id.
  public internal(set) var lateMessages: UInt64 = 0
  /// Gaps that were told: retention had removed what a client or a stream was due.
  public internal(set) var gaps: UInt64 = 0
  /// Those of `messages` that are stored nowhere: broadcasts to whoever is connected.
  public internal(set) var ephemeralMessages: UInt64 = 0
  /// Notifications that said that a stream may have something new.
  public internal(set) var wakeUps: UInt64 = 0
  /// Looks at streams that nothing asked for.
  public internal(set) var safetyLooks: UInt64 = 0
  /// Those of them that found something of which no notification had said anything.
  public internal(set) var safetyFinds: UInt64 = 0
  /// From the first message of a pass over a stream's connections, as it comes from Postgres, to the end
  /// of that pass: then all whose sockets have room have it. One observation for each pass.
  public internal(set) var broadcastToSocket = Histogram()
  /// From the commit of a message of the native store, as it begins, to the end of the pass that sent it.
  /// Not measured unless the host asks for it; then for one message a second at most.
  public internal(set) var commitToSocket = Histogram()
  /// How late the loop's timer is.
  public internal(set) var loopLag = Histogram()
  /// Streams that began anew under their subscribers.
  public internal(set) var resets: UInt64 = 0
  /// Requests that were refused for their token, or because they had none.
  public internal(set) var refusedTokens: UInt64 = 0
  /// Clients, and streams of a connection with others, that were refused for now, by
  /// `RefusalReason.rawValue`.
  public internal(set) var refused = [UInt64](repeating: 0, count: RefusalReason.allCases.count)
  /// Those that were refused for good.
  package internal(set) var rejections = Rejections()
  /// Times that the application was asked who may listen and gave no answer that counts, or none in time,
  /// or could not be asked.
  public package(set) var failedAuthorizations: UInt64 = 0
  /// Attempts to fetch the keys of tokens that have failed.
  public internal(set) var failedKeyFetches: UInt64 = 0

  /// Questions about streams that Postgres refused, as without a grant; not those that met a lock, or a table
  /// that is not there.
  public internal(set) var refusedQuestions: UInt64 = 0

  /// Members whose coming was told: once, however many connections, loops and processes they are with.
  public internal(set) var presenceJoins: UInt64 = 0
  /// Members whose leaving was told.
  public internal(set) var presenceLeaves: UInt64 = 0
  /// Those whose process went without a word, and whose leaving was told for it.
  public internal(set) var presenceSwept: UInt64 = 0
  /// Rows of statistics that were not written: too many, or Postgres was away or refused them.
  public internal(set) var droppedStatisticsRows: UInt64 = 0

  /// How many connections ended for one reason.
  public func closed(_ reason: CloseReason) -> UInt64 { closed[Int(reason.rawValue)] }

  /// How many were refused for one reason.
  public func refused(_ reason: RefusalReason) -> UInt64 { refused[Int(reason.rawValue)] }

  /// One more was refused temporarily.
  mutating func count(_ reason: RefusalReason) { refused[Int(reason.rawValue)] += 1 }

  /// Those of `messages` that were stored, and came in their order.
  public var storedMessages: UInt64 { messages &- ephemeralMessages &- lateMessages }
}
