/// Lets so many in a second, and after a pause of a second as many at once.
struct TokenBucket {
  private var thousandths: Int64 = 0
  private var filledMs: Int64 = .min / 2

  /// Takes a token; false: there is none now. It begins full.
  mutating func take(ratePerSecond: Int, nowMs: Int64) -> Bool {
    let rate = Int64(ratePerSecond)
    let passedMs = min(max(nowMs - filledMs, 0), 1_000)
    filledMs = nowMs
    thousandths = min(thousandths + passedMs * rate, rate * 1_000)
    guard thousandths >= 1_000 else { return false }
    thousandths -= 1_000
    return true
  }
}
