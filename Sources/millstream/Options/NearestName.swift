/// What somebody has meant who has mistyped a name.
enum NearestName {
  /// The known name that the fewest letters make of it: up to about a third of them. Nil: none is near.
  static func of(_ name: String, among known: some Sequence<String>) -> String? {
    let letters = Array(name.utf8.prefix(longest))
    let nearest = known.map { (name: $0, distance: distance(letters, Array($0.utf8))) }
      .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
    guard let nearest, nearest.distance <= min(3, (letters.count + 1) / 3) else { return nil }
    return nearest.name
  }

  private static let longest = 64

  /// How many letters have to be put in, taken out or exchanged (Levenshtein).
  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (index, letter) in left.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for (column, other) in right.enumerated() {
        let above = row[column + 1]
        let exchanged = diagonal + (letter == other ? 0 : 1)
        row[column + 1] = min(exchanged, above + 1, row[column] + 1)
        diagonal = above
      }
    }
    return row[right.count]
  }
}
