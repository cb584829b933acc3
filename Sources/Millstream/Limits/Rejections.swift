/// How many requests, and streams of requests for several, were refused for good, by the status that they got.
package struct Rejections: Sendable {
  /// Those that are told apart; an endpoint's own handler may answer with others.
  package static let statuses = [400, 401, 403, 404, 408, 409, 413, 431, 500, 505]
  private var counts = [UInt64](repeating: 0, count: statuses.count)
  /// Those with other statuses.
  package private(set) var others: UInt64 = 0

  /// Counts `count` more.
  mutating func add(_ status: Int, count: Int = 1) {
    if let index = Rejections.statuses.firstIndex(of: status) {
      counts[index] += UInt64(count)
    } else {
      others += UInt64(count)
    }
  }

  /// How many got this one of the `statuses`.
  package func count(of status: Int) -> UInt64 {
    Rejections.statuses.firstIndex(of: status).map { counts[$0] } ?? 0
  }
}
