/// What was counted over all connections.
struct Tally {
  var subscribed = 0
  var messages = 0
  var messagesWithoutID = 0
  var opaqueIDs = 0
  var duplicates = 0
  var backward = 0
  var holes = 0
  var missingInHoles: Int64 = 0
  var epochsOrFirsts = 0
  var gaps = 0
  var goodbyes = 0
  var comments = 0
  var bytes = 0
  var receives = 0
  var refused = 0
  var failedConnects = 0
  var disconnects = 0

  /// Whether something came that no delivery may do. A hole counts only where ids have none.
  func hasDisorder(consecutive: Bool) -> Bool {
    duplicates > 0 || backward > 0 || (consecutive && holes > 0)
  }

  @inline(__always)
  mutating func count(_ step: IDOrder.Step) {
    switch step {
    case .next: break
    case .first: epochsOrFirsts += 1
    case .duplicate: duplicates += 1
    case .backward: backward += 1
    case .hole(let missing):
      holes += 1
      missingInHoles += missing
    }
  }
}
