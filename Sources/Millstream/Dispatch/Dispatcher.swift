import Logging

/// Dirty streams in, frames out: the one place that decides what is read, and when.
///
/// Nothing is asked at once. What happens during an iteration of the loop is noted, and before the
/// loop sleeps everything that was noted goes out as one pipelined batch.
final class Dispatcher {
  let registry = Registry()
  let writer: Writer
  let fanOut: FanOut
  let listener: NotificationSource
  let logger: Logger
  var limits: Limits
  /// Looks at each message on its way; nil: none does.
  var filter: MessageFilter?
  /// The opening of a connection is on its way.
  var opened: (ConnectionRef) -> Void = { _ in }
  /// A connection has ended, and its slot is about to be freed.
  var left: (ConnectionRef) -> Void = { _ in }
  private(set) var stores: [StoreKind: MessageStore] = [:]

  /// An ephemeral broadcast waits no longer for what was stored before it.
  static let longestEphemeralWaitMs: Int64 = 500

  /// A stream that is not known yet and that somebody is changing is looked at again after that.
  static let changedPauseMs: Int64 = 250

  /// Bounds and intervals of the dispatcher.
  struct Limits {
    /// How many bytes of frames a stream keeps in memory for those who come back.
    var logBytes = 256 * 1024
    /// A stream with subscribers is looked at that often though nothing woke it.
    var safetyPollMs: Int64 = 5_000
    /// Messages are held back for so long while a transaction is open that may commit one below them.
    var holeWaitMs: Int64 = 10_000
    /// A stream without subscribers is forgotten after that.
    var lingerMs: Int64 = 5_000
    /// How many streams without subscribers are kept for that long.
    var lingeringStreams = 10_000
    /// Stores are given the chance to tidy up that often.
    var maintenanceMs: Int64 = 60_000
    /// How many connections are placed or brought up to date in one slice.
    var turnsInSlice = 64
    /// How many streams one query looks at.
    var looksInQuery = 1_000
    /// How many pages are under way at once: enough to keep Postgres busy. What is new is read on the
    /// same session and must not stand behind thousands of pages.
    var openPages = 4
    /// How many streams the connections that carry several may have together.
    var lanes = Int.max
  }

  // What every slice looks at, on one thread: nothing calls back while one of them is being changed.
  @exclusivity(unchecked) var looks: [StoreKind: [Stream]] = [:]
  @exclusivity(unchecked) var dirty: [Stream] = []
  @exclusivity(unchecked) var pageSeekers = Deque<Stream>()
  @exclusivity(unchecked) var turns = TurnQueue()
  @exclusivity(unchecked) var lateSeekers: [Stream] = []
  /// Those that have a time at which the dispatcher has to come by.
  var reminded: [Stream] = []
  @exclusivity(unchecked) var patterns = PatternTable()
  var nextListMs: Int64 = 0
  /// Some patterns are being asked about.
  var isListing = false
  /// What is wrong has been said.
  var isListFailing = false
  var empty = Deque<(sinceMs: Int64, stream: Stream)>()
  var pageShelf = PageShelf()
  @exclusivity(unchecked) private var isStopped = false
  /// The history of the server that is read from (PostgreSQL, "Timelines").
  private var timeline = ""
  var nextMaintenanceMs: Int64 = 0
  /// Parts of a stream that are due for a look, in milliseconds of the safety interval.
  var safetyShare: Int64 = 0
  /// Where the connections are, each of them once.
  private(set) var states = ConnectionStates()
  /// Where the streams are of those that carry several.
  private(set) var laneStates = ConnectionStates()
  var logMemory = LogMemory()
  /// Measures from the commit on; nil: nobody wants to know.
  var commitProbe: CommitProbe?
  /// A notification says that the application may want connections closed.
  var controlNotified: () -> Void = {}
  /// Says who is on streams; nil: nobody wants to know.
  var presence: Presence?
  /// Records connects, disconnects and broadcasts; nil: nobody wants them.
  var streamStatistics: StreamStatistics?
  /// Says how connections have ended; nil: nobody wants to know.
  var endLog: EndLog?

  init(
    writer: Writer, listener: NotificationSource, stores: [MessageStore], limits: Limits,
    logger: Logger
  ) {
    self.writer = writer
    self.listener = listener
    self.limits = limits
    self.logger = logger
    fanOut = FanOut(writer: writer)
    fanOut.passEnded = { [unowned self] in passEnded($0) }
    writer.backlogEnded = { [unowned self] in pageEnded($0) }
    for store in stores {
      self.stores[store.kind] = store
      store.receiver = self
    }
  }

  /// No more reading; connections stay as they are until they are closed.
  func stop() {
    isStopped = true
  }

  // MARK: The end of an iteration

  /// One slice of everything that was put off; returns whether there is more to do at once.
  func runSlice() -> Bool {
    runTurns()
    sendQuestions()
    listener.flush()
    fanOut.runSlice()
    writer.reap { [unowned self] in leave($0) }
    return hasQuestions || fanOut.hasMore || turns.hasMore || writer.hasClosed
  }

  private var hasQuestions: Bool {
    let hasLists = !patterns.isEmpty && mayList
    let hasPages = !pageSeekers.isEmpty && hasRoomForPages
    return !isStopped
      && (hasPages || hasLists || !(looks.isEmpty && dirty.isEmpty && lateSeekers.isEmpty))
  }

  private func sendQuestions() {
    guard !isStopped else { return }
    // In the slices of a long fan-out there is nothing to ask, and nothing shall be allocated.
    if hasQuestions { sendNoted() }
    for store in stores.values { store.flush() }
  }

  private func sendNoted() {
    let noted = (looks: looks, reads: dirty, late: lateSeekers)
    looks.removeAll(keepingCapacity: true)
    dirty.removeAll(keepingCapacity: true)
    lateSeekers.removeAll(keepingCapacity: true)
    if !patterns.isEmpty { listPatterns() }
    for (kind, streams) in noted.looks { look(at: streams, in: stores[kind]) }
    askHolders(ofRead: noted.reads, ofLate: noted.late)
    for stream in noted.reads { stores[stream.store]?.read(stream) }
    requestPages()
    for stream in noted.late { stores[stream.store]?.readLate(of: stream) }
  }

  /// One query for many streams, but none that takes Postgres so long that its time-out ends it.
  private func look(at streams: [Stream], in store: MessageStore?) {
    for begin in stride(from: 0, to: streams.count, by: limits.looksInQuery) {
      store?.look(at: Array(streams[begin..<min(begin + limits.looksInQuery, streams.count)]))
    }
  }

  // MARK: Streams

  /// The stream that the store calls `storageName`, made if nobody is subscribed to it yet; `name`: what
  /// clients call it.
  func stream(
    _ kind: StoreKind, _ storageName: [UInt8], name: String? = nil, channels: [String]
  ) -> Stream {
    let known = storageName.withUnsafeBytes { registry.stream(kind, $0) }
    let stream = known ?? Stream(store: kind, storageName: storageName, name: name)
    if known == nil {
      registry.add(stream)
      if kind == .native { listener.addNativeStream(storageName) }
    }
    for channel in channels where !stream.channels.contains(channel) {
      stream.channels.append(channel)
      listener.add(channel)
    }
    return stream
  }

  func perform(_ action: StreamReader.Action, on stream: Stream) {
    switch action {
    case .none: break
    case .look: looks[stream.store, default: []].append(stream)
    case .read:
      if isCrowded(stream) { stream.isReadPostponed = true } else { dirty.append(stream) }
    }
  }

  /// A connection, or a lane, is in another state; nil: it comes, or leaves.
  func move(
    _ connection: ConnectionRef, from old: ConnectionStates.State?, to new: ConnectionStates.State?
  ) {
    if writer.backlog(of: connection)?.lane == nil {
      states.move(from: old, to: new)
    } else {
      laneStates.move(from: old, to: new)
    }
  }

  // MARK: Sessions

  /// The reading session is new: whatever is known is old. On another timeline than before, it may even
  /// be wrong.
  func readsReady(timeline: String = "") {
    let isAnother = !self.timeline.isEmpty && !timeline.isEmpty && timeline != self.timeline
    if !timeline.isEmpty { self.timeline = timeline }
    looks = [:]
    dirty = []
    lateSeekers = []
    listPatternsAgain()
    for stream in registry.streams {
      stream.questionsLost()
      if isAnother { stream.isInDoubt = true }
      pageShelf.drop(of: stream)
      remindOfLate(stream)
      perform(stream.reader.lookWanted(), on: stream)
    }
  }

  /// A session broke, and with it what was asked; those who wait for their opening get it now.
  func sessionLost() {
    for stream in registry.streams {
      for connection in stream.waiting.members where connection.pointee.phase == .opening {
        queueTurn(connection)
      }
    }
  }

  /// Notifications on these channels come from now on; those from before are lost.
  func listening(on channels: [String]) {
    if channels.contains(NativeSchema.channel) { listPatternsAgain() }
    if channels.contains(PresenceSQL.channel) { presence?.listensAgain() }
    for stream in streams(of: channels) {
      perform(stream.reader.lookWanted(), on: stream)
      awaitThrottle(of: stream)
      placeWaiting(of: stream)
    }
  }

  /// New streams come in small batches: a walk over all streams for each would be quadratic.
  private func streams(of channels: [String]) -> [Stream] {
    if channels.count >= registry.streams.count || channels.contains(NativeSchema.channel) {
      let names = Set(channels)
      return registry.streams.filter { $0.channels.contains(where: names.contains) }
    }
    // A queue may have two channels; the set keeps it from being looked at twice.
    var seen: Set<ObjectIdentifier> = []
    return channels.compactMap { channel in
      var channel = channel
      return channel.withUTF8 { queueStream(UnsafeRawBufferPointer($0)) }
    }.filter { seen.insert(ObjectIdentifier($0)).inserted }
  }
}
