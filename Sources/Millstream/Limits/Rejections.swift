/// How many requests, and streams of requests for several, were refused for good, by the status that they got.
package struct Rejections: Sendable {
  /// Those that are told apart; an endpoint's own handler may answer with others.
  package static let statuses = [400, 401, 403, 404, 408, 409, 413, 431, 500, 505]
  private var counts = [UInt64](repeating: 0, count: statuses.count)
  /// Those with other statuses.
  package private(set) var others: UInt64 = 0

  /// Counts one more.
  mutating func add(_ status: Int) {
    if let index = Rejections.statuses.firstIndex(of: status) {
      counts[index] += 1
    } else {
      others += 1
    }
  }

  /// How many got this one of the `statuses`.
  package func count(of status: Int) -> UInt64 {
    Rejections.statuses.firstIndex(of: status).map { counts[$0] } ?? 0
  }
}
