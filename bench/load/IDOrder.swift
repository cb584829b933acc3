/// What ids a connection has seen, as far as the next one needs it.
struct IDOrder {
  /// What the next id told.
  enum Step {
    case next
    /// The first id of this connection or of a new epoch: nothing to compare with.
    case first
    /// So many ids were left out.
    case hole(Int64)
    case duplicate
    /// Below the last one: late, or sent a second time.
    case backward
  }

  /// -1 before the first.
  private var lastID: Int64 = -1
  private var epoch: UInt32 = 0

  init() {}

  /// `since`: the cursor that the request names; the first id has to be the next one.
  init(since: Int64) {
    lastID = since
  }

  @inline(__always)
  mutating func received(_ id: Int64, epoch newEpoch: UInt32) -> Step {
    let isNewEpoch = newEpoch != epoch && epoch != 0
    let before = lastID
    epoch = newEpoch
    if before < 0 || isNewEpoch {
      lastID = id
      return .first
    }
    guard id > before else { return id == before ? .duplicate : .backward }
    lastID = id
    return id == before + 1 ? .next : .hole(id - before - 1)
  }
}
