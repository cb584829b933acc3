/// When the n-th message of each connection came, over all connections: a round is one fan-out.
struct Rounds: ~Copyable {
  struct Round {
    var firstNs: Int64 = .max
    var lastNs: Int64 = 0
    var count = 0
  }

  /// Rounds behind this many are not kept.
  static let capacity = 1 << 16

  private let rounds: UnsafeMutablePointer<Round>
  /// How many rounds have begun, and been kept.
  private(set) var begun = 0
  let connections: Int

  init(connections: Int) {
    self.connections = connections
    rounds = .allocate(capacity: Rounds.capacity)
  }

  deinit { rounds.deallocate() }

  /// Says whether this was the last connection that the round `index` (from 0) was waiting for.
  @inline(__always)
  mutating func record(_ index: Int, at timeNs: Int64) -> Bool {
    guard index < Rounds.capacity else { return false }
    while begun <= index { begin() }
    let round = rounds + index
    if timeNs < round.pointee.firstNs { round.pointee.firstNs = timeNs }
    if timeNs > round.pointee.lastNs { round.pointee.lastNs = timeNs }
    round.pointee.count += 1
    return round.pointee.count == connections
  }

  /// Rounds are written when they begin and not before: memory that nobody touches costs nothing.
  private mutating func begin() {
    (rounds + begun).initialize(to: Round())
    begun += 1
  }

  subscript(index: Int) -> Round { rounds[index] }

  func isComplete(_ index: Int) -> Bool {
    rounds[index].count == connections
  }

  /// Deliveries a second of each complete round, from its first arrival to its last, in ascending
  /// order.
  func ratesSorted() -> [Double] {
    guard connections > 1 else { return [] }
    return (0..<begun).filter { isComplete($0) && rounds[$0].lastNs > rounds[$0].firstNs }
      .map { Double(connections - 1) * 1e9 / Double(rounds[$0].lastNs - rounds[$0].firstNs) }
      .sorted()
  }
}
