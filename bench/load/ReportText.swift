extension Report {
  /// One field a line, for people.
  var text: String {
    let width = fields.map(\.name.utf8.count).max() ?? 0
    return fields.compactMap { name, value in
      guard let text = Report.text(value) else { return nil }
      return name + String(repeating: " ", count: width - name.utf8.count + 2) + text + "\n"
    }.joined()
  }

  /// One flat JSON object.
  var json: String {
    "{" + fields.map { "\"\($0.name)\":\(Report.json($0.value))" }.joined(separator: ",") + "}\n"
  }

  private static func text(_ value: Value) -> String? {
    switch value {
    case .count(let count): "\(count)"
    case .number(let number, let digits): Decimal.text(number, digits: digits)
    case .text(let text): text
    case .truth(let truth): truth ? "yes" : "no"
    case .rounds, .quantiles: nil
    }
  }

  private static func json(_ value: Value) -> String {
    switch value {
    case .count(let count): "\(count)"
    case .number(let number, let digits): Decimal.text(number, digits: digits)
    case .text(let text): "\"\(text)\""
    case .truth(let truth): truth ? "true" : "false"
    case .quantiles(let quantiles):
      "["
        + quantiles.map { "[\($0.share),\(Decimal.text($0.us, digits: 1))]" }.joined(separator: ",")
        + "]"
    case .rounds(let rounds):
      "[" + rounds.map { "[\($0.firstNs),\($0.lastNs)]" }.joined(separator: ",") + "]"
    }
  }
}
