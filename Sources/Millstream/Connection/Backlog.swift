/// What is due to a connection before it goes on in its stream's log. Only those have one that are
/// behind, or whose socket was full in the middle of something.
final class Backlog {
  /// Control frames, and the rest of a frame that the log may have dropped.
  var own = OwnBytes()
  /// Everything up to this id was handed over; what follows has to come from the store.
  var cursor: Int64
  /// The epoch that the cursor was given in, if the client said.
  var cursorEpoch: UInt32?
  /// How many looks at the stream had been answered when its cursor was found to be unknown; what a
  /// later look says of it is final.
  var questionedAtLook: Int?
  /// The store has said that its cursor is above all that there is.
  var isFromElsewhere = false
  /// The cursor is one that we gave it on this connection, not one that it came with.
  var hasReceived = false
  /// It has waited long enough with its opening.
  var mayNotWait = false
  /// The page that it reads, shared with all who read the same, and the offset that it is at.
  var page: Chunk?
  var pageOffset = 0
  /// Whoever has had the page has everything up to this id.
  var pageThrough: Int64 = 0
  /// The end of the log when it joined it: up to there frames may have to be held back from it.
  var joinedAt: UInt64 = 0
  /// The end of the log when it was opened, or left the log: ephemeral frames from there on are for it,
  /// if they are still there when it joins.
  var ephemeralsFrom: UInt64 = 0
  /// With its own bytes it ends, for this reason: nothing behind them is for it. Nil: it goes on.
  var endReason: CloseReason?
  /// It carries several streams: what is due to it is due on their lanes.
  var carrier: Carrier?
  /// It is a lane of such a one.
  var lane: Lane?
  /// What the client is called by, until its opening was sent.
  var opening: Opening?

  /// What the opening of a connection has to say.
  struct Opening {
    var head: [UInt8]
    var name: String
    var cursor: CursorRequest
    var retryMs: Int64
  }

  /// The cursor of one that wants what comes from now on, while nobody knows where that is.
  static let fromNowOn: Int64 = -1

  init(cursor: Int64 = 0) {
    self.cursor = cursor
  }

  /// Whether it has gone past this id, or will with the page that it reads, and does not come by it.
  func isPast(_ id: Int64) -> Bool {
    if cursor >= id { return cursor != Backlog.fromNowOn }
    guard let page, pageThrough >= id else { return false }
    return page.firstID(after: id - 1) != id
  }

  /// With its own bytes it ends.
  var isLast: Bool { endReason != nil }

  /// A connection that keeps its backlog for as long as it is there.
  var isPartOfCarrier: Bool { carrier != nil || lane != nil }

  /// Whether it may be given a page: on one connection one lane has one.
  var mayTakePage: Bool { page == nil && lane?.mayTakePage ?? true }
}
