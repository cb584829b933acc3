import Millstream
import Testing

@testable import millstream

@Suite struct MetricsTextTests {
  @Test func familyHasItsHelpItsTypeAndItsSamples() {
    var metrics = MetricsText()
    metrics.family("a_total", .counter, "How many.")
    metrics.sample(3, ("loop", "0"))
    metrics.sample(4, ("loop", "1"), ("kind", "late"))
    metrics.family("b_seconds", .gauge, "How long.")
    metrics.sample(0.25)
    #expect(
      metrics.text == """
        # HELP a_total How many.
        # TYPE a_total counter
        a_total{loop="0"} 3
        a_total{loop="1",kind="late"} 4
        # HELP b_seconds How long.
        # TYPE b_seconds gauge
        b_seconds 0.25

        """)
  }

  /// In a help text quotes are as they are.
  @Test func whatWouldEndAValueIsEscaped() {
    var metrics = MetricsText()
    metrics.family("a", .gauge, "a \"b\" \\ \n c")
    metrics.sample(1, ("name", "a \"b\" \\ \n ü"))
    #expect(
      metrics.text == """
        # HELP a a "b" \\\\ \\n c
        # TYPE a gauge
        a{name="a \\"b\\" \\\\ \\n ü"} 1

        """)
  }

  @Test(arguments: [
    (0.0, "0"), (1.0, "1"), (0.1, "0.1"), (1e-05, "1e-05"), (1e15, "1000000000000000.0"),
    (-2.5, "-2.5"),
    (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
  ])
  func numberIsOneThatGoReads(value: Double, text: String) {
    var metrics = MetricsText()
    metrics.family("a", .gauge, "")
    metrics.sample(value)
    #expect(metrics.text.hasSuffix("\na \(text)\n"))
  }

  /// Each range counts those below it, too; the last all.
  @Test func histogramIsCumulative() {
    var histogram = Histogram()
    for us: Int64 in [100, 101, 2_000_000, 20_000_000] { histogram.observe(us: us) }
    var metrics = MetricsText()
    metrics.family("a_seconds", .histogram, "")
    metrics.sample(histogram, ("loop", "0"))
    let lines = metrics.text.split(separator: "\n").map(String.init)
    #expect(lines.count == 2 + Histogram.boundsUs.count + 1 + 2)
    for line in [
      #"a_seconds_bucket{loop="0",le="0.0001"} 1"#, #"a_seconds_bucket{loop="0",le="0.00025"} 2"#,
      #"a_seconds_bucket{loop="0",le="1"} 2"#, #"a_seconds_bucket{loop="0",le="2.5"} 3"#,
      #"a_seconds_bucket{loop="0",le="10"} 3"#, #"a_seconds_bucket{loop="0",le="+Inf"} 4"#,
      #"a_seconds_sum{loop="0"} 22.000201"#, #"a_seconds_count{loop="0"} 4"#,
    ] { #expect(lines.contains(line), "\(line)") }
  }
}

@Suite struct HealthTests {
  @Test func onlyWhoIsSilentForLongHangs() {
    #expect(Readiness.hanging(silentMs: [0, 499, 5_000]).isEmpty)
    #expect(
      Readiness.hanging(silentMs: [0, 61_000, 5_001])
        == ["loop 1 has not turned for 61 s", "loop 2 has not turned for 5 s"])
  }

  @Test func loopThatNeverAnsweredIsNotReady() {
    let report = LoopReport(number: 3, isUp: false, snapshot: nil)
    #expect(Readiness.causes(of: [report]) == ["loop 3 does not answer"])
  }

  @Test func addressIsNoneUsualOrAsked() throws {
    guard case .none = try AdminAddress("none"), case .usual = try AdminAddress(nil),
      case .asked(let asked) = try AdminAddress("[::1]:1234")
    else {
      Issue.record("not as it was said")
      return
    }
    #expect(asked.description == "[::1]:1234")
    #expect(throws: ConfigurationError.self) { try AdminAddress("nowhere") }
  }
}
