/// Random numbers that are the same for the same seed (SplitMix64), so that what was found can be
/// found again.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

extension SeededGenerator {
  mutating func number(_ range: Range<Int>) -> Int {
    range.lowerBound + Int(next() % UInt64(range.count))
  }

  /// True once in `times`, on average.
  mutating func once(in times: Int) -> Bool {
    next() % UInt64(times) == 0
  }

  /// One of `values`; nil where there is none.
  mutating func pick<Element>(_ values: [Element]) -> Element? {
    values.isEmpty ? nil : values[number(0..<values.count)]
  }
}
