import ArgumentParser

/// A length of time with its unit: `250ms`, `15s`, `5m`, `1h`.
struct DurationArgument: ExpressibleByArgument, CustomStringConvertible {
  let milliseconds: Int64

  init(milliseconds: Int64) {
    self.milliseconds = milliseconds
  }

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let units: [String: Int64] = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000]
    guard let count = Int64(digits), count < 1_000_000_000,
      let unit = units[String(argument.dropFirst(digits.count))]
    else { return nil }
    milliseconds = count * unit
  }

  /// `message`, and what is missing if it says that a value is none; the parser of arguments does not know.
  static func explain(_ message: String) -> String {
    guard message.hasPrefix("The value '"), message.hasSuffix(" <time>'") else { return message }
    return message + ": a time with a unit is wanted, as 250ms, 5s or 1h"
  }

  var description: String {
    switch milliseconds {
    case 0: "0s"
    case let value where value % 3_600_000 == 0: "\(value / 3_600_000)h"
    case let value where value % 60_000 == 0: "\(value / 60_000)m"
    case let value where value % 1_000 == 0: "\(value / 1_000)s"
    default: "\(milliseconds)ms"
    }
  }

  var defaultValueDescription: String { description }
}
