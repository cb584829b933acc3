import Millstream

/// What a histogram has taken in between two moments.
struct HistogramWindow {
  private let counts: [UInt64]

  init(from before: Histogram, to after: Histogram) {
    counts = zip(after.counts, before.counts).map { $0 > $1 ? $0 - $1 : 0 }
  }

  /// Below this, in milliseconds, lies that part of all, as far as the ranges tell; nil: there is nothing.
  func quantileMs(_ part: Double) -> Double? {
    let total = counts.reduce(0, +)
    guard total > 0 else { return nil }
    let wanted = part * Double(total)
    var below = 0.0
    for (index, count) in counts.enumerated() where count > 0 {
      if below + Double(count) >= wanted {
        return valueUs(in: index, share: (wanted - below) / Double(count)) / 1000
      }
      below += Double(count)
    }
    return nil
  }

  /// What lies above the last bound is shown as that.
  private func valueUs(in index: Int, share: Double) -> Double {
    let bounds = Histogram.boundsUs
    guard index < bounds.count else { return Double(bounds[bounds.count - 1]) }
    let low = index == 0 ? 0 : Double(bounds[index - 1])
    return low + (Double(bounds[index]) - low) * share
  }
}
