/// Writes JSON.
enum JSONText {
  static func string(_ text: String?) -> String { text.map(StderrLogHandler.quoted) ?? "null" }

  /// To the thousandth; nil and what is no number are `null`.
  static func number(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "null" }
    let rounded = (value * 1000).rounded() / 1000
    if abs(rounded) < 1e15, rounded == rounded.rounded() { return "\(Int64(rounded))" }
    return "\(rounded)"
  }

  static func list(_ values: [String]) -> String { "[" + values.joined(separator: ",") + "]" }

  static func object(_ members: [(name: String, value: String)]) -> String {
    "{" + members.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}"
  }
}
