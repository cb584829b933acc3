/// Durations in nanoseconds, counted in buckets whose width grows with the value, as in
/// HdrHistogram: 128 buckets for each power of two, so that a value is known to within 0.8 %.
/// All memory is taken at the beginning; a sample costs one addition.
struct Histogram: ~Copyable {
  private static let subBits = 7
  /// Up to 2^43 ns, which is more than two hours; what is longer counts as that.
  private static let largestBits = 43
  private static let bucketCount = (largestBits - subBits + 1) << subBits

  private let buckets: UnsafeMutablePointer<UInt64>
  private(set) var count: UInt64 = 0
  private(set) var largest: Int64 = 0
  /// Samples below zero, which only clocks that disagree can bring; they count as zero.
  private(set) var negatives: UInt64 = 0

  init() {
    buckets = .allocate(capacity: Histogram.bucketCount)
    buckets.initialize(repeating: 0, count: Histogram.bucketCount)
  }

  deinit { buckets.deallocate() }

  @inline(__always)
  mutating func record(_ nanoseconds: Int64) {
    if nanoseconds < 0 { negatives += 1 }
    let value = min(max(nanoseconds, 0), 1 << Histogram.largestBits - 1)
    buckets[Histogram.bucket(of: value)] += 1
    count += 1
    if nanoseconds > largest { largest = nanoseconds }
  }

  /// The value below or at which a `share` (0 to 1) of the samples lies: the middle of its bucket,
  /// and never above the largest sample. 0 without samples.
  func quantile(_ share: Double) -> Int64 {
    let wanted = max(1, UInt64((Double(count) * share).rounded(.up)))
    var seen: UInt64 = 0
    for bucket in 0..<Histogram.bucketCount {
      seen += buckets[bucket]
      if seen >= wanted { return min(Histogram.middle(of: bucket), largest) }
    }
    return 0
  }

  static func bucket(of value: Int64) -> Int {
    let shift = max(0, Int64.bitWidth - 1 - value.leadingZeroBitCount - subBits)
    return shift << subBits + Int(value >> Int64(shift))
  }

  static func middle(of bucket: Int) -> Int64 {
    let shift = max(0, bucket >> subBits - 1)
    let lowest = Int64(bucket - shift << subBits) << Int64(shift)
    return lowest + (1 << Int64(shift) - 1) / 2
  }
}
