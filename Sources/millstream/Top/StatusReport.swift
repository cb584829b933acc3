/// What a server has said of itself: its last snapshot, and the seconds before.
struct StatusReport {
  private(set) var snapshot = JSONTree.null
  private var columns: [String] = []
  private var points: [[JSONTree]] = []
  private var lastNumber: Double?

  /// More points than a line of bars has room for.
  private static let maximumPoints = 300

  var isEmpty: Bool { snapshot == .null }

  /// Whether it is known how much the streams have to do: that takes the server two looks.
  var hasRates: Bool {
    let streams = snapshot["busiest"].list
    return !isEmpty && (streams.isEmpty || streams.contains { $0["messagesPerSecond"] != .null })
  }

  /// Takes in one event; false: it is none that there should be.
  mutating func take(_ event: EventStreamParser.Event) -> Bool {
    guard let tree = JSONTree(event.data) else { return false }
    switch event.type {
    case "history":
      columns = tree["columns"].list.compactMap(\.string)
      points = tree["points"].list.suffix(StatusReport.maximumPoints).map(\.list)
      lastNumber = tree["number"].number
    case "snapshot":
      snapshot = tree
      takePoint()
    default: return false
    }
    return true
  }

  private mutating func takePoint() {
    guard snapshot["number"].number != lastNumber, !snapshot["point"].list.isEmpty else { return }
    lastNumber = snapshot["number"].number
    points.append(snapshot["point"].list)
    if points.count > StatusReport.maximumPoints { points.removeFirst() }
  }

  /// One value of the last second; nil: there was none.
  func now(_ column: String) -> Double? { series(column).last ?? nil }

  /// One value through the last minutes.
  func series(_ column: String) -> [Double?] {
    guard let index = columns.firstIndex(of: column) else { return [] }
    return points.map { index < $0.count ? $0[index].number : nil }
  }
}
