/// Points in time as text (ISO 8601, the profile of RFC 3339 that Rails writes).
enum Timestamp {
  /// Seconds since 1970 of `2026-01-31T12:00:00.123Z` or with an offset as `+02:00`; nil for any
  /// other text. A fraction is read and dropped.
  static func unixTime(of text: some Collection<UInt8>) -> Int64? {
    var rest = Array(text)[...]
    guard let year = number(4, from: &rest), remove("-", from: &rest),
      let month = number(2, from: &rest), remove("-", from: &rest),
      let day = number(2, from: &rest), remove("Tt", from: &rest),
      let hour = number(2, from: &rest), remove(":", from: &rest),
      let minute = number(2, from: &rest), remove(":", from: &rest),
      let second = number(2, from: &rest), skipFraction(&rest), let offset = offset(&rest),
      rest.isEmpty, let days = days(year: year, month: month, day: day),
      hour < 24, minute < 60, second <= 60
    else { return nil }
    return days * 86_400 + hour * 3_600 + minute * 60 + second - offset
  }

  private static func number(_ digits: Int, from rest: inout ArraySlice<UInt8>) -> Int64? {
    guard rest.count >= digits else { return nil }
    var value: Int64 = 0
    for _ in 0..<digits {
      let digit = rest.removeFirst()
      guard ASCII.isDigit(digit) else { return nil }
      value = value * 10 + Int64(digit - UInt8(ascii: "0"))
    }
    return value
  }

  /// Takes one byte off, if it is one of `choices`.
  private static func remove(_ choices: StaticString, from rest: inout ArraySlice<UInt8>) -> Bool {
    guard let first = rest.first, choices.withUTF8Buffer({ $0.contains(first) }) else {
      return false
    }
    rest.removeFirst()
    return true
  }

  private static func skipFraction(_ rest: inout ArraySlice<UInt8>) -> Bool {
    guard remove(".", from: &rest) else { return true }
    let digits = rest.prefix(while: ASCII.isDigit)
    rest = rest[digits.endIndex...]
    return !digits.isEmpty
  }

  /// Seconds east of UTC.
  private static func offset(_ rest: inout ArraySlice<UInt8>) -> Int64? {
    if remove("Zz", from: &rest) { return 0 }
    let isWest = rest.first == UInt8(ascii: "-")
    guard remove("+-", from: &rest), let hours = number(2, from: &rest),
      remove(":", from: &rest), let minutes = number(2, from: &rest), hours < 24, minutes < 60
    else { return nil }
    return (isWest ? -1 : 1) * (hours * 3_600 + minutes * 60)
  }

  /// Days since 1970-01-01 in the Gregorian calendar; nil when there is no such day.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64? {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard (1...12).contains(month), (1...lengths[Int(month - 1)]).contains(day) else { return nil }
    let inYear = lengths[..<Int(month - 1)].reduce(0, +) + day - 1
    // Days before this year, counted from year 0, which is itself a leap year.
    let before = year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400
    return before + inYear - 719_528
  }
}
