/// What is asked of a client whose socket is full.
struct Patience {
  /// Whoever takes nothing for so long goes.
  var deadlineMs: Int64 = 5_000
  /// So many bytes a second have to be taken, over the deadline; 0: any progress will do.
  var bytesPerSecond: Int64 = 0

  /// How often each is looked at: between its deadline and its end lies no more than that.
  var lookIntervalMs: Int64 { deadlineMs / 4 }
}

/// What one client has taken since its socket was full.
///
/// Taken is what its side has acknowledged, not what our kernel has: that takes megabytes for a
/// client that reads nothing, and then nothing for minutes from one that reads slowly and steadily.
///
/// Each byte pays for some time, at the minimum rate, but never for time to come, so that one large
/// piece buys no long rest. Whoever owes as much time as the deadline is long is too slow. At half of
/// the minimum rate that takes twice the deadline; at more than the minimum rate it never comes.
struct Pace {
  enum Verdict { case stays, silent, tooSlow }

  /// Since when its socket is full.
  let beganMs: Int64
  /// When it was last looked at.
  private(set) var lookedAtMs: Int64
  /// When it was last seen to have taken something.
  private var tookAtMs: Int64
  /// The time that it has paid for.
  private var paidUntilMs: Int64
  /// What the kernel held for it at the last look.
  private var heldBytes: Int
  /// What the kernel was given since.
  var sentBytes = 0

  init(nowMs: Int64, heldBytes: Int) {
    beganMs = nowMs
    lookedAtMs = nowMs
    tookAtMs = nowMs
    paidUntilMs = nowMs
    self.heldBytes = heldBytes
  }

  /// It is looked at: the kernel holds `heldBytes` for it now.
  mutating func looked(nowMs: Int64, heldBytes: Int, _ patience: Patience) -> Verdict {
    let takenBytes = Int64(max(self.heldBytes + sentBytes - heldBytes, 0))
    self.heldBytes = heldBytes
    sentBytes = 0
    lookedAtMs = nowMs
    if takenBytes > 0 {
      tookAtMs = nowMs
      paidUntilMs = min(paidUntilMs + Pace.worthMs(of: takenBytes, patience), nowMs)
    }
    if nowMs - tookAtMs >= patience.deadlineMs { return .silent }
    return nowMs - paidUntilMs >= patience.deadlineMs ? .tooSlow : .stays
  }

  /// Rounded up: at a high rate a few bytes are worth less than a millisecond, but not nothing.
  private static func worthMs(of bytes: Int64, _ patience: Patience) -> Int64 {
    let rate = patience.bytesPerSecond
    // Nobody who is still here owes more than the deadline.
    let isEnough = rate == 0 || bytes / rate > patience.deadlineMs / 1000
    if isEnough { return patience.deadlineMs }
    return (bytes * 1000 + rate - 1) / rate
  }
}

extension Writer {
  /// How many are looked at in one step of the timer.
  private static let looksInSlice = 512

  /// Looks at those who wait and whose turn it is, and lets go who takes too little.
  func lookAtBlocked(_ nowMs: Int64) {
    let interval = patience.lookIntervalMs
    let due = blocked.due(nowMs: nowMs, intervalMs: interval, atMost: Writer.looksInSlice)
    for connection in due { look(at: connection) }
  }

  /// Has a client whose socket is full taken enough?
  func look(at connection: ConnectionRef) {
    var pace = blocked.pace(of: connection)
    let held = calls.heldBytes(connection.pointee.descriptor)
    switch pace.looked(nowMs: clock.monotonicMs, heldBytes: held, patience) {
    case .silent: close(connection, .writeDeadline)
    case .tooSlow: close(connection, .tooSlow)
    case .stays:
      blocked.remove(connection)
      blocked.append(connection, pace)
    }
  }
}
