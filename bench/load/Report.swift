/// What a run came to, as fields in the order in which they are printed.
struct Report {
  enum Value {
    case count(Int)
    case number(Double, digits: Int)
    case text(String)
    case truth(Bool)
    /// Only in JSON: pairs of a share of the samples and the value below which it lies.
    case quantiles([(share: Double, us: Double)])
    /// Only in JSON.
    case rounds([(firstNs: Int64, lastNs: Int64)])
  }

  private(set) var fields: [(name: String, value: Value)] = []

  init(_ load: borrowing Load) {
    addRun(load)
    addTally(load.tally)
    addRounds(load.rounds)
    add("arrival_by", .text(load.options.wantsArrival ? "kernel" : "epoll batch"))
    addLatency("arrival", load.latencies.arrival)
    addLatency("receipt", load.latencies.receipt)
    addLatency("own_lag", load.latencies.lag)
    addUse(load.timeline)
    addOutcome(load)
  }

  private mutating func add(_ name: String, _ value: Value) {
    fields.append((name, value))
  }

  private mutating func addRun(_ load: borrowing Load) {
    let timeline = load.timeline
    add("connections", .count(load.options.connections))
    add("streams", .count(load.target.requests.count))
    add("subscribed", .count(load.tally.subscribed))
    addSeconds("subscribe_seconds", timeline.secondsFromStart(to: timeline.subscribedNs))
    addSeconds("last_message_seconds", timeline.secondsFromStart(to: timeline.lastMessageNs))
    addSeconds("run_seconds", timeline.secondsFromStart(to: Clock.nowNs()))
  }

  private mutating func addSeconds(_ name: String, _ seconds: Double?) {
    if let seconds { add(name, .number(seconds, digits: 4)) }
  }

  private mutating func addTally(_ tally: Tally) {
    let counts = [
      ("messages", tally.messages), ("messages_without_id", tally.messagesWithoutID),
      ("opaque_ids", tally.opaqueIDs), ("duplicates", tally.duplicates),
      ("backward", tally.backward), ("holes", tally.holes),
      ("missing_in_holes", Int(tally.missingInHoles)), ("gaps", tally.gaps),
      ("goodbyes", tally.goodbyes), ("comments", tally.comments), ("bytes", tally.bytes),
      ("receives", tally.receives), ("refused", tally.refused),
      ("failed_connects", tally.failedConnects), ("disconnects", tally.disconnects),
    ]
    for (name, count) in counts { add(name, .count(count)) }
  }

  private mutating func addRounds(_ rounds: borrowing Rounds) {
    let rates = rounds.ratesSorted()
    add("rounds_begun", .count(rounds.begun))
    add("rounds_complete", .count((0..<rounds.begun).count { rounds.isComplete($0) }))
    if let lowest = rates.first, let highest = rates.last {
      add("deliveries_per_second_median", .number(rates[rates.count / 2], digits: 0))
      add("deliveries_per_second_lowest", .number(lowest, digits: 0))
      add("deliveries_per_second_highest", .number(highest, digits: 0))
    }
    let kept = min(rounds.begun, 4_096)
    add("rounds_ns", .rounds((0..<kept).map { (rounds[$0].firstNs, rounds[$0].lastNs) }))
  }

  private mutating func addLatency(_ name: String, _ histogram: borrowing Histogram) {
    guard histogram.count > 0 else { return }
    for (label, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
      add("\(name)_\(label)_us", .number(Double(histogram.quantile(share)) / 1e3, digits: 1))
    }
    add("\(name)_max_us", .number(Double(histogram.largest) / 1e3, digits: 1))
    let quantiles = Report.shares.map { ($0, Double(histogram.quantile($0)) / 1e3) }
    add("\(name)_quantiles", .quantiles(quantiles))
    if histogram.negatives > 0 { add("\(name)_below_zero", .count(Int(histogram.negatives))) }
  }

  /// Every hundredth, and finer towards the end.
  private static let shares = (0...99).map { Double($0) / 100 } + [0.995, 0.999, 0.9999, 1]

  private mutating func addUse(_ timeline: Timeline) {
    let use = ProcessUse.now()
    let base = timeline.subscribedUse ?? timeline.startUse
    add("own_user_seconds", .number(Double(use.userUs) / 1e6, digits: 3))
    add("own_system_seconds", .number(Double(use.systemUs) / 1e6, digits: 3))
    let since = Double(use.userUs + use.systemUs - base.userUs - base.systemUs) / 1e6
    add("own_seconds_since_subscribed", .number(since, digits: 3))
    add("own_resident_kib", .count(use.residentKib))
  }

  private mutating func addOutcome(_ load: borrowing Load) {
    add("timed_out", .truth(load.timeline.timedOut))
    add("passed", .truth(load.hasPassed))
  }
}

extension Load {
  /// Whether the exit status is 0.
  var hasPassed: Bool {
    let tally = tally
    let lost = tally.refused + tally.failedConnects + tally.disconnects
    return lost == 0 && !timeline.timedOut
      && !tally.hasDisorder(consecutive: options.expectsConsecutive)
  }
}
