/// How much memory the logs of all streams take: some of them are looked at in each tick, so that very many
/// streams hold nothing up, and the sum is known once all were.
struct LogMemory {
  /// As the last walk over all of them has found it.
  private(set) var byteCount = 0
  private var sum = 0
  private var next = 0
  /// So many at least are looked at in one step.
  private static let smallestStep = 64
  /// After so many steps all were.
  private static let steps = 200

  mutating func step(over streams: [Stream]) {
    let end = min(
      next + max(LogMemory.smallestStep, streams.count / LogMemory.steps), streams.count)
    while next < end {
      sum += streams[next].log.byteCount
      next += 1
    }
    guard next >= streams.count else { return }
    byteCount = sum
    sum = 0
    next = 0
  }
}
