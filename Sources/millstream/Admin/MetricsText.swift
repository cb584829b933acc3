import Millstream

/// Writes metrics in Prometheus' text format, version 0.0.4.
struct MetricsText {
  enum Kind: String { case counter, gauge, histogram }

  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private(set) var text = ""
  private var name = ""

  /// Begins a family: what follows are samples of it.
  mutating func family(_ name: String, _ kind: Kind, _ help: String) {
    self.name = name
    text += "# HELP \(name) \(MetricsText.escaped(help, quotes: false))\n"
    text += "# TYPE \(name) \(kind.rawValue)\n"
  }

  mutating func sample(_ value: some BinaryInteger, _ labels: (String, String)...) {
    sample("", "\(value)", labels)
  }

  mutating func sample(_ value: Double, _ labels: (String, String)...) {
    sample("", MetricsText.number(value), labels)
  }

  /// All samples of one histogram.
  mutating func sample(_ histogram: Histogram, _ labels: (String, String)...) {
    var total: UInt64 = 0
    for (index, count) in histogram.counts.enumerated() {
      total += count
      sample("_bucket", "\(total)", labels + [("le", MetricsText.bounds[index])])
    }
    sample("_sum", MetricsText.number(Double(histogram.sumUs) / 1e6), labels)
    sample("_count", "\(total)", labels)
  }

  private mutating func sample(_ suffix: String, _ value: String, _ labels: [(String, String)]) {
    text += name
    text += suffix
    for (index, label) in labels.enumerated() {
      text += index == 0 ? "{" : ","
      text += label.0
      text += "=\""
      text += MetricsText.escaped(label.1, quotes: true)
      text += "\""
    }
    text += labels.isEmpty ? " " : "} "
    text += value
    text += "\n"
  }

  private static let bounds =
    Histogram.boundsUs.map { number(Double($0) / 1e6) } + ["+Inf"]

  /// As Go's ParseFloat reads it.
  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    guard text.utf8.contains(where: { [0x0A, 0x22, 0x5C].contains($0) }) else { return text }
    return text.reduce(into: "") { escaped, character in
      switch character {
      case "\\": escaped += "\\\\"
      case "\n": escaped += "\\n"
      case "\"" where quotes: escaped += "\\\""
      default: escaped.append(character)
      }
    }
  }
}
