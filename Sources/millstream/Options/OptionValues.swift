/// The options in a list of arguments, by their names.
struct OptionValues {
  private var values: [String: [String]] = [:]

  init(_ arguments: [String]) {
    var name: String?
    for argument in arguments {
      guard argument.hasPrefix("--") else {
        // Behind an option without '=' its value; a flag has none.
        if let name { values[name, default: []].append(argument) }
        name = nil
        continue
      }
      let parts = argument.dropFirst(2).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let option = String(parts[0])
      values[option, default: []] += parts.dropFirst().map(String.init)
      name = parts.count == 1 ? option : nil
    }
  }

  /// The names of those that are not the same there, in order.
  func differing(from other: OptionValues) -> [String] {
    Set(values.keys).union(other.values.keys).filter { values[$0] != other.values[$0] }.sorted()
  }
}
