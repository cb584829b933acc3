import Millstream

/// The parts of a snapshot, as JSON.
enum StatusText {
  typealias Members = [(name: String, value: String)]

  static func process(_ facts: ProcessFacts, processor: Double?, maxConnections: Int) -> Members {
    [
      ("version", JSONText.string(Version.text)), ("time", "\(Clock.system.unixSeconds)"),
      ("uptime", "\(max(Clock.system.unixSeconds - facts.startSeconds, 0))"),
      ("processor", JSONText.number(processor)),
      ("residentBytes", facts.residentBytes.map { "\($0)" } ?? "null"),
      ("maxConnections", "\(maxConnections)"),
    ]
  }

  /// What all loops have together. Streams are counted on each loop that has them.
  static func totals(_ reports: [LoopReport]) -> Members {
    let totals = StatusTotals(reports, atMs: 0)
    let closed = CloseReason.allCases.map { reason in
      (name: "\(reason)", value: "\(totals.sum { $0.closed(reason) })")
    }
    let streams = reports.map { $0.snapshot?.streams ?? 0 }
    return [
      ("connections", connections(totals.states, blocked: totals.blocked)),
      ("streams", "\(streams.reduce(0, +))"), ("logBytes", "\(totals.logBytes)"),
      ("opened", "\(totals.sum { $0.opened })"), ("closed", JSONText.object(closed)),
      ("messages", "\(totals.sum { $0.messages })"),
      ("deliveries", "\(totals.sum { $0.sends })"), ("bytes", "\(totals.sum { $0.bytesSent })"),
    ]
  }

  private static func connections(_ states: ConnectionStates, blocked: Int) -> String {
    JSONText.object([
      ("opening", "\(states.opening)"), ("catchingUp", "\(states.catchingUp)"),
      ("live", "\(states.live)"), ("blocked", "\(blocked)"),
    ])
  }

  // MARK: Loops

  static func loop(_ report: LoopReport) -> String {
    var members: Members = [("number", "\(report.number)"), ("up", "\(report.isUp)")]
    if let snapshot = report.snapshot {
      members += [
        ("running", "\(snapshot.isRunning)"),
        ("connections", connections(snapshot.states, blocked: snapshot.blocked)),
        ("streams", "\(snapshot.streams)"), ("logBytes", "\(snapshot.logBytes)"),
        ("messages", "\(snapshot.statistics.messages)"),
        ("sessions", JSONText.list(snapshot.sessions.map(session))),
        ("nativeHeard", snapshot.isNativeHeard.map { "\($0)" } ?? "null"),
      ]
    }
    return JSONText.object(members)
  }

  private static func session(_ session: SessionSnapshot) -> String {
    JSONText.object([
      ("name", JSONText.string(session.name)), ("ready", "\(session.isReady)"),
      ("failure", JSONText.string(session.lastFailure)), ("queries", "\(session.queries)"),
      ("reconnects", "\(session.timesReady - min(session.timesReady, 1))"),
      ("failures", "\(session.timesFailed)"),
    ])
  }

  // MARK: Streams and clients

  private static let shown = 20

  /// Connections of a stream are spread over the loops; its messages come to each of them.
  static func busiest(_ byLoop: [[StreamStanding]]) -> String {
    var all: [StreamIdentity: (connections: Int, rate: Double?)] = [:]
    for standing in byLoop.joined() {
      let known = all[standing.stream] ?? (0, nil)
      all[standing.stream] = (
        known.connections + standing.connections,
        [known.rate, standing.messagesPerSecond].compactMap(\.self).max()
      )
    }
    let sorted = all.sorted { $0.key.name < $1.key.name }
    let crowded = sorted.sorted { $0.value.connections > $1.value.connections }.prefix(shown)
    let busy = sorted.filter { $0.value.rate ?? 0 > 0 }
      .sorted { $0.value.rate ?? 0 > $1.value.rate ?? 0 }.prefix(shown)
    var seen: Set<StreamIdentity> = []
    return JSONText.list(
      (crowded + busy).filter { seen.insert($0.key).inserted }.map { stream, standing in
        JSONText.object(
          identity(stream) + [
            ("connections", "\(standing.connections)"),
            ("messagesPerSecond", JSONText.number(standing.rate)),
          ])
      })
  }

  static func identity(_ stream: StreamIdentity) -> Members {
    [("store", JSONText.string("\(stream.store)")), ("stream", JSONText.string(stream.name))]
  }

  static func slow(_ clients: [SlowClient]) -> String {
    JSONText.list(
      clients.sorted { $0.blockedMs > $1.blockedMs }.prefix(shown).map { client in
        JSONText.object(
          [("connection", JSONText.string("\(client.connection)"))] + identity(client.stream) + [
            ("streams", "\(client.streams)"), ("address", JSONText.string(client.address)),
            ("member", JSONText.string(client.member)), ("blockedMs", "\(client.blockedMs)"),
            ("heldBytes", "\(client.heldBytes)"),
            ("behindBytes", client.behindBytes.map { "\($0)" } ?? "null"),
          ])
      })
  }

  // MARK: One stream

  static func inspection(_ stream: StreamIdentity, _ byLoop: [Int: StreamInspection]) -> String {
    let fullest = byLoop.values.max { ($0.tip, $0.frames.count) < ($1.tip, $1.frames.count) }
    return JSONText.object(
      identity(stream) + [
        (
          "loops",
          JSONText.list(byLoop.sorted { $0.key < $1.key }.map { loop($0.key, $0.value) })
        ), ("frames", JSONText.list((fullest?.frames ?? []).map(frame))),
      ])
  }

  private static func loop(_ number: Int, _ stream: StreamInspection) -> String {
    JSONText.object([
      ("number", "\(number)"), ("tip", "\(stream.tip)"), ("floor", "\(stream.floor)"),
      ("epoch", stream.epoch.map { "\"\(String($0, radix: 16))\"" } ?? "null"),
      ("logBytes", "\(stream.logBytes)"), ("live", "\(stream.live)"),
      ("waiting", "\(stream.waiting)"), ("reader", JSONText.string(stream.reader)),
      ("messages", "\(stream.messages)"), ("ephemerals", "\(stream.waitingEphemerals)"),
      ("heldThrough", stream.heldThrough.map { "\($0)" } ?? "null"),
      ("channels", JSONText.list(stream.channels.map(JSONText.string))),
    ])
  }

  private static func frame(_ frame: FrameInspection) -> String {
    JSONText.object([
      ("id", frame.id.map { "\($0)" } ?? "null"), ("bytes", "\(frame.bytes)"),
      ("restricted", "\(frame.isRestricted)"), ("text", JSONText.string(frame.text)),
    ])
  }
}
