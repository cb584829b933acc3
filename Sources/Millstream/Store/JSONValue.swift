/// One value in a JSON text, as the scanner found it. It borrows the text that was scanned.
package struct JSONValue {
  package enum Kind: Equatable { case object, array, string, number, `true`, `false`, null }

  package let kind: Kind
  /// The value as written, without the blanks around it.
  package let raw: UnsafeRawBufferPointer

  /// Nil when it is not a string.
  package var string: JSONString? {
    guard kind == .string else { return nil }
    return JSONString(contents: UnsafeRawBufferPointer(rebasing: raw[1..<(raw.count - 1)]))
  }

  /// Nil when it is not a number, is written with a fraction or an exponent, or is beyond 64 bits.
  var integer: Int64? {
    guard kind == .number else { return nil }
    // The scanner's numbers are digits with an optional minus sign, or hold what this refuses.
    let isNegative = raw.first == UInt8(ascii: "-")
    var value: Int64 = 0
    for byte in raw[(isNegative ? 1 : 0)...] {
      guard ASCII.isDigit(byte) else { return nil }
      let digit = Int64(byte - UInt8(ascii: "0"))
      let product = value.multipliedReportingOverflow(by: 10)
      let sum = product.partialValue.addingReportingOverflow(isNegative ? -digit : digit)
      guard !product.overflow, !sum.overflow else { return nil }
      value = sum.partialValue
    }
    return value
  }
}
