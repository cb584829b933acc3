/// Figures as people read them.
enum Figures {
  /// With a comma between thousands; millions and more are shortened.
  static func count(_ value: Double) -> String {
    if value >= 1e9 { return decimal(value / 1e9, 2) + " G" }
    if value >= 1e6 { return decimal(value / 1e6, 2) + " M" }
    return value < 10 ? decimal(value, 1) : grouped(Int64(value.rounded()))
  }

  static func bytes(_ value: Double) -> String {
    for (size, unit) in [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")] where value >= size {
      return decimal(value / size, value / size < 100 ? 1 : 0) + " " + unit
    }
    return "\(Int64(value.rounded())) B"
  }

  static func milliseconds(_ value: Double?) -> String {
    guard let value else { return "-" }
    if value >= 1000 { return decimal(value / 1000, 2) + " s" }
    return decimal(value, value < 1 ? 2 : value < 100 ? 1 : 0) + " ms"
  }

  /// In the two largest units that it has.
  static func duration(seconds: Double) -> String {
    var rest = Int64(seconds)
    let units: [(Int64, String)] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")]
    var words: [String] = []
    for (size, unit) in units.drop(while: { $0.0 > max(rest, 1) }).prefix(2) {
      let whole = rest / size
      rest -= whole * size
      if whole > 0 || words.isEmpty { words.append("\(whole) \(unit)") }
    }
    return words.joined(separator: " ")
  }

  /// The last of `values` as a line of bars, the highest full.
  static func bars(_ values: [Double], width: Int) -> String {
    let shown = values.suffix(max(width, 0))
    guard let highest = shown.max(), highest > 0 else { return "" }
    let bars = Array(" ▁▂▃▄▅▆▇█")
    return String(shown.map { bars[$0 > 0 ? max(Int($0 / highest * 8), 1) : 0] })
  }

  private static func decimal(_ value: Double, _ digits: Int) -> String {
    let power = [1.0, 10, 100][digits]
    let scaled = Int64((value * power).rounded())
    let fraction = scaled % Int64(power)
    guard fraction != 0 else { return grouped(scaled / Int64(power)) }
    let text = "\(fraction)"
    let padded = String(repeating: "0", count: digits - text.count) + text
    let end = padded.hasSuffix("0") ? String(padded.dropLast()) : padded
    return grouped(scaled / Int64(power)) + "." + end
  }

  private static func grouped(_ value: Int64) -> String {
    var text = ""
    for (place, digit) in "\(abs(value))".reversed().enumerated() {
      if place > 0 && place % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return (value < 0 ? "-" : "") + String(text.reversed())
  }
}
