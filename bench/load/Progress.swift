import Glibc

/// Lines on stderr, which a driver reads while the load runs.
enum Progress {
  static func say(_ text: String) {
    var line = text + "\n"
    line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}

/// Numbers with a fixed count of digits behind the point, without Foundation.
enum Decimal {
  static func text(_ value: Double, digits: Int) -> String {
    guard value.isFinite else { return "0" }
    let scale = (0..<digits).reduce(1.0) { product, _ in product * 10 }
    let scaled = Int64((value * scale).rounded())
    let whole = "\(scaled.magnitude / UInt64(scale))"
    let part = "\(scaled.magnitude % UInt64(scale))"
    let sign = scaled < 0 ? "-" : ""
    guard digits > 0 else { return sign + whole }
    return sign + whole + "." + String(repeating: "0", count: digits - part.utf8.count) + part
  }
}
