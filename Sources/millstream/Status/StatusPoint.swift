import Millstream

/// What all loops have done together, at one moment.
struct StatusTotals {
  let atMs: Int64
  let statistics: [Statistics]
  let states: ConnectionStates
  let blocked: Int
  let logBytes: Int
  let broadcast: Histogram
  let commit: Histogram
  let lag: Histogram

  init(_ reports: [LoopReport], atMs: Int64) {
    let snapshots = reports.compactMap(\.snapshot)
    self.atMs = atMs
    statistics = snapshots.map(\.statistics)
    states = snapshots.reduce(ConnectionStates()) { $0 + $1.states }
    blocked = snapshots.reduce(0) { $0 + $1.blocked }
    logBytes = snapshots.reduce(0) { $0 + $1.logBytes }
    broadcast = statistics.map(\.broadcastToSocket).reduce(Histogram(), +)
    commit = statistics.map(\.commitToSocket).reduce(Histogram(), +)
    lag = statistics.map(\.loopLag).reduce(Histogram(), +)
  }

  func sum(_ value: (Statistics) -> UInt64) -> UInt64 { statistics.reduce(0) { $0 + value($1) } }

  var closed: UInt64 { sum { $0.closed.reduce(0, +) } }
}

/// One second of the status page's charts. Rates are by the second, latencies in milliseconds over the last
/// few seconds; nil: there was nothing to measure.
struct StatusPoint: Equatable {
  var unixSeconds: Int64 = 0
  var connections = 0
  var blocked = 0
  var opened = 0.0
  var closed = 0.0
  var messages = 0.0
  var deliveries = 0.0
  var bytes = 0.0
  var broadcastMedian: Double?
  var broadcastHigh: Double?
  var commitMedian: Double?
  var commitHigh: Double?
  var lagHigh: Double?
  var logBytes = 0

  /// The names of the values, in the order in which `json` has them.
  static let columns = [
    "time", "connections", "blocked", "opened", "closed", "messages", "deliveries", "bytes",
    "broadcast50", "broadcast99", "commit50", "commit99", "lag99", "logBytes",
  ]

  init() {}

  /// `before`: a second ago; `early`: where the time begins that latencies are told of.
  init(_ now: StatusTotals, before: StatusTotals, early: StatusTotals, unixSeconds: Int64) {
    let seconds = Double(max(now.atMs - before.atMs, 1)) / 1000
    let rate = { (value: (Statistics) -> UInt64) in
      Double(now.sum(value) &- before.sum(value)) / seconds
    }
    self.unixSeconds = unixSeconds
    connections = now.states.count
    blocked = now.blocked
    logBytes = now.logBytes
    opened = rate { $0.opened }
    closed = rate { $0.closed.reduce(0, +) }
    messages = rate { $0.messages }
    deliveries = rate { $0.sends }
    bytes = rate { $0.bytesSent }
    let broadcast = HistogramWindow(from: early.broadcast, to: now.broadcast)
    let commit = HistogramWindow(from: early.commit, to: now.commit)
    (broadcastMedian, broadcastHigh) = (broadcast.quantileMs(0.5), broadcast.quantileMs(0.99))
    (commitMedian, commitHigh) = (commit.quantileMs(0.5), commit.quantileMs(0.99))
    lagHigh = HistogramWindow(from: early.lag, to: now.lag).quantileMs(0.99)
  }

  /// As a list: three hundred of them are sent to whoever comes.
  var json: String {
    let values = [
      "\(unixSeconds)", "\(connections)", "\(blocked)", JSONText.number(opened),
      JSONText.number(closed), JSONText.number(messages), JSONText.number(deliveries),
      JSONText.number(bytes), JSONText.number(broadcastMedian), JSONText.number(broadcastHigh),
      JSONText.number(commitMedian), JSONText.number(commitHigh), JSONText.number(lagHigh),
      "\(logBytes)",
    ]
    return JSONText.list(values)
  }
}
