/// From where on a client wants the stream, as its request says.
enum CursorRequest: Equatable {
  /// From now on: no cursor, a blank one, or a negative one (left over from pgbus, whose ephemeral
  /// frames have negative ids).
  case none
  /// Everything above `id`; the epoch, where the client knows it, says of which stream of the name.
  case after(id: Int64, epoch: UInt32?)
  /// Neither; the answer is a 400.
  case invalid

  /// Everything that is kept.
  static let all = CursorRequest.after(id: 0, epoch: nil)

  /// Reads the cursor: the field `Last-Event-ID` wins over `since` in the query, unless blank.
  ///
  /// `allowsEpoch`: whether a cursor may be `ID-EPOCH`, as the native store gives them out.
  init(_ head: RequestHead, allowsEpoch: Bool) {
    self.init(
      lastEventID: head.value(of: "last-event-id"), query: head.query, allowsEpoch: allowsEpoch)
  }

  init(lastEventID: ArraySlice<UInt8>?, query: ArraySlice<UInt8>?, allowsEpoch: Bool) {
    if let lastEventID, !CursorRequest.isBlank(lastEventID) {
      self.init(text: lastEventID, allowsEpoch: allowsEpoch)
      return
    }
    switch PercentEncoding.queryValue("since", in: query ?? []) {
    case .absent: self = .none
    case .malformed: self = .invalid
    case .found(let text) where CursorRequest.isBlank(text[...]): self = .none
    case .found(let text): self.init(text: text[...], allowsEpoch: allowsEpoch)
    }
  }

  /// `ID` or `ID-EPOCH`: ID is decimal and fits 64 bits with its sign, EPOCH is 1 to 8 hexadecimal
  /// digits; no plus sign and no blanks, as in pgbus.
  init(text: ArraySlice<UInt8>, allowsEpoch: Bool) {
    // The first byte may be the sign of a negative id and never separates.
    let separator = text.dropFirst().firstIndex(of: UInt8(ascii: "-"))
    guard let id = CursorRequest.integer(text[..<(separator ?? text.endIndex)]) else {
      self = .invalid
      return
    }
    var epoch: UInt32?
    if let separator {
      epoch = CursorRequest.epoch(text[(separator + 1)...])
      guard allowsEpoch, id >= 0, epoch != nil else {
        self = .invalid
        return
      }
    }
    self = id < 0 ? .none : .after(id: id, epoch: epoch)
  }

  private static func isBlank(_ text: ArraySlice<UInt8>) -> Bool {
    text.allSatisfy(ASCII.isBlank)
  }

  /// Decimal digits with an optional minus sign; nil when there are none, or beyond 64 bits.
  private static func integer(_ text: ArraySlice<UInt8>) -> Int64? {
    guard let first = text.first else { return nil }
    let isNegative = first == UInt8(ascii: "-")
    let digits = isNegative ? text.dropFirst() : text
    guard !digits.isEmpty else { return nil }
    var value: Int64 = 0
    for digit in digits {
      guard ASCII.isDigit(digit) else { return nil }
      let product = value.multipliedReportingOverflow(by: 10)
      let step = Int64(digit - UInt8(ascii: "0"))
      let sum =
        isNegative
        ? product.partialValue.subtractingReportingOverflow(step)
        : product.partialValue.addingReportingOverflow(step)
      guard !product.overflow, !sum.overflow else { return nil }
      value = sum.partialValue
    }
    return value
  }

  private static func epoch(_ digits: ArraySlice<UInt8>) -> UInt32? {
    guard (1...8).contains(digits.count) else { return nil }
    var value: UInt32 = 0
    for digit in digits {
      guard let digit = Hexadecimal.value(of: digit) else { return nil }
      value = value << 4 | UInt32(digit)
    }
    return value
  }
}
