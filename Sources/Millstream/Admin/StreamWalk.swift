/// How much one stream has to do on one loop.
package struct StreamStanding: Sendable {
  package let stream: StreamIdentity
  package let connections: Int
  /// Nil: it was not looked at before.
  package let messagesPerSecond: Double?

  package init(stream: StreamIdentity, connections: Int, messagesPerSecond: Double?) {
    self.stream = stream
    self.connections = connections
    self.messagesPerSecond = messagesPerSecond
  }
}

/// Finds the streams with most connections, and those with most messages. It comes by some of them in each
/// tick, so that very many streams hold nothing up, and begins anew once a second.
struct StreamWalk {
  private typealias Entry = (value: Int, stream: Stream, messages: UInt32)

  /// When it was last asked for, in milliseconds of the monotonic clock.
  var askedMs: Int64
  /// As the last walk over all streams has found them.
  private(set) var standings: [StreamStanding] = []

  private var next = 0
  private var beganMs: Int64
  /// When the walk before began; nil: there was none, and nothing can be said of rates.
  private var beforeMs: Int64?
  private var isResting = false
  private var byConnections: [Entry] = []
  private var byMessages: [Entry] = []

  /// More than are shown: a stream has its connections on several loops.
  static let kept = 40
  static let pauseMs: Int64 = 1_000
  /// So many at least are looked at in one step, and so many steps make a walk.
  private static let smallestStep = 512
  private static let steps = 20

  init(nowMs: Int64) {
    askedMs = nowMs
    beganMs = nowMs
  }

  /// One tick's part of the walk.
  mutating func step(over streams: [Stream], nowMs: Int64) {
    if isResting {
      guard nowMs - beganMs >= StreamWalk.pauseMs else { return }
      begin(nowMs)
    }
    let end = min(
      next + max(StreamWalk.smallestStep, streams.count / StreamWalk.steps), streams.count)
    while next < end {
      look(at: streams[next])
      next += 1
    }
    if next >= streams.count { finish() }
  }

  private mutating func begin(_ nowMs: Int64) {
    isResting = false
    next = 0
    beforeMs = beganMs
    beganMs = nowMs
  }

  private mutating func look(at stream: Stream) {
    let messages = beforeMs == nil ? 0 : stream.messageCount &- stream.countedMessages
    stream.countedMessages = stream.messageCount
    let connections = stream.subscriberCount
    StreamWalk.put((connections, stream, messages), into: &byConnections)
    StreamWalk.put((Int(messages), stream, messages), into: &byMessages)
  }

  /// The lists are short and nearly never change: nearly all that come by are below the last.
  private static func put(_ entry: Entry, into list: inout [Entry]) {
    guard entry.value > (list.count < kept ? 0 : list[list.count - 1].value) else { return }
    let place = list.firstIndex { $0.value < entry.value } ?? list.count
    list.insert(entry, at: place)
    if list.count > kept { list.removeLast() }
  }

  private mutating func finish() {
    let tookMs = beforeMs.map { max(beganMs - $0, 1) }
    var seen: Set<ObjectIdentifier> = []
    standings = (byConnections + byMessages).filter {
      seen.insert(ObjectIdentifier($0.stream)).inserted
    }.map { entry in
      StreamStanding(
        stream: entry.stream.publicIdentity, connections: entry.stream.subscriberCount,
        messagesPerSecond: tookMs.map { Double(entry.messages) * 1000 / Double($0) })
    }
    byConnections = []
    byMessages = []
    isResting = true
  }
}

extension Instance {
  /// Nobody has asked for so long: the walk ends.
  private static let walkLingerMs: Int64 = 5_000

  /// The busiest streams. From the first question on a walk over all of them is made every second, until
  /// nobody asks any more.
  func busiestStreams() -> [StreamStanding] {
    let nowMs = parts.writer.clock.monotonicMs
    if streamWalk == nil {
      streamWalk = StreamWalk(nowMs: nowMs)
      walkStreams(nowMs: nowMs)
    }
    streamWalk?.askedMs = nowMs
    return streamWalk?.standings ?? []
  }

  func walkStreams(nowMs: Int64) {
    guard let askedMs = streamWalk?.askedMs, nowMs - askedMs < Instance.walkLingerMs else {
      streamWalk = nil
      return
    }
    streamWalk?.step(over: parts.dispatcher.registry.streams, nowMs: nowMs)
  }
}
