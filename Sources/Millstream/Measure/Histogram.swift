/// How often something took how long, in ranges that are the same for all, so that those of several
/// loops can be added up.
public struct Histogram: Sendable, Equatable {
  /// The upper ends of the ranges, in microseconds; what is above the last has a range of its own.
  public static let boundsUs: [Int64] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
  ]

  /// How many fell into each range: more than the bound before, at most its own.
  public private(set) var counts = [UInt64](repeating: 0, count: boundsUs.count + 1)
  /// All of them together, in microseconds.
  public private(set) var sumUs: UInt64 = 0

  /// Nothing was seen yet.
  public init() {}

  /// How many there were.
  public var count: UInt64 { counts.reduce(0, +) }

  /// It took so long. Clocks that went back count as no time.
  public mutating func observe(us: Int64) {
    let us = max(us, 0)
    var index = 0
    while index < Histogram.boundsUs.count && us > Histogram.boundsUs[index] { index += 1 }
    counts[index] += 1
    sumUs &+= UInt64(us)
  }

  /// With those of another.
  public static func + (left: Histogram, right: Histogram) -> Histogram {
    var sum = left
    for (index, count) in right.counts.enumerated() { sum.counts[index] += count }
    sum.sumUs &+= right.sumUs
    return sum
  }
}
