import Testing

@testable import millstream_load

@Suite struct MeasurementTests {
  @Test func aHistogramKnowsAValueToOnePercent() {
    var value: Int64 = 1
    while value < 1 << 42 {
      let known = Histogram.middle(of: Histogram.bucket(of: value))
      #expect(abs(known - value) * 100 <= value, "\(value) is read as \(known)")
      value += value / 7 + 1
    }
  }

  @Test func quantilesAreThoseOfTheSamples() {
    var histogram = Histogram()
    for value in 1...1_000 { histogram.record(Int64(value) * 1_000) }
    #expect(abs(histogram.quantile(0.5) - 500_000) <= 5_000)
    #expect(abs(histogram.quantile(0.99) - 990_000) <= 10_000)
    #expect(histogram.quantile(1) <= histogram.largest)
    #expect(histogram.count == 1_000)
    #expect(histogram.largest == 1_000_000)
  }

  @Test func timesBelowZeroAreCounted() {
    var histogram = Histogram()
    histogram.record(-5)
    #expect(histogram.negatives == 1)
    #expect(histogram.quantile(0.5) == 0)
  }

  @Test func aCursorSaysWhatTheFirstIDIs() {
    var tally = Tally()
    var order = IDOrder(since: 4)
    for id: Int64 in [5, 6, 6, 9, 7] { tally.count(order.received(id, epoch: 1)) }
    #expect(tally.duplicates == 1)
    #expect(tally.holes == 1)
    #expect(tally.missingInHoles == 2)
    #expect(tally.backward == 1)
    #expect(tally.hasDisorder(consecutive: false))
  }

  @Test func aNewEpochBeginsAnew() {
    var tally = Tally()
    var order = IDOrder()
    for (id, epoch): (Int64, UInt32) in [(900, 1), (901, 1), (1, 2), (2, 2)] {
      tally.count(order.received(id, epoch: epoch))
    }
    #expect(tally.epochsOrFirsts == 2)
    #expect(!tally.hasDisorder(consecutive: true))
  }

  @Test func aRoundIsOverWithItsLastConnection() {
    var rounds = Rounds(connections: 3)
    let isLast = [100, 300, 200].map { rounds.record(0, at: $0) }
    #expect(isLast == [false, false, true])
    #expect(rounds[0].firstNs == 100)
    #expect(rounds[0].lastNs == 300)
    #expect(rounds.ratesSorted() == [1e7])
  }
}
