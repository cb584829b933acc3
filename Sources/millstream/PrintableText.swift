/// Text of others, as a terminal may have it: nothing in it moves the cursor, or turns the text around.
enum PrintableText {
  /// As one line.
  static func line(_ text: String) -> String { replacing(in: text, but: []) }

  /// Line feeds and tabs stay.
  static func lines(_ text: String) -> String { replacing(in: text, but: ["\n", "\t"]) }

  /// Without these two Persian and some emoji fall apart; they move nothing.
  private static let joiners: [Unicode.Scalar] = ["\u{200c}", "\u{200d}"]

  private static func replacing(in text: String, but kept: [Unicode.Scalar]) -> String {
    var safe = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      let isSafe =
        switch scalar.properties.generalCategory {
        case .control: kept.contains(scalar)
        case .format: joiners.contains(scalar)
        case .lineSeparator, .paragraphSeparator: false
        default: true
        }
      safe.append(isSafe ? scalar : "\u{fffd}")
    }
    return String(safe)
  }
}
