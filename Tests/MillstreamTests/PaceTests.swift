import Testing

@testable import Millstream

/// The account of one client whose socket is full, without a socket.
@Suite struct PaceTests {
  /// A deadline of five seconds, and 64 bytes a second.
  private let patience = Patience(deadlineMs: 5_000, bytesPerSecond: 64)

  @Test(arguments: [(1, 6), (16, 7), (32, 10), (48, 20), (63, 334)])
  func whoeverTakesTooLittleGoes(bytesEachSecond: Int, seconds: Int) {
    let left = firstVerdict(bytesEachSecond, patience)
    #expect(left?.verdict == .tooSlow)
    #expect(left?.second == seconds)
  }

  @Test(arguments: [64, 65, 100, 100_000])
  func whoeverTakesEnoughStays(bytesEachSecond: Int) {
    #expect(firstVerdict(bytesEachSecond, patience) == nil)
  }

  @Test func whoeverTakesNothingIsSilent() {
    let left = firstVerdict(0, patience)
    #expect(left?.verdict == .silent)
    #expect(left?.second == 5)
  }

  @Test func anyProgressWillDoWithoutAMinimum() {
    #expect(firstVerdict(1, Patience(deadlineMs: 5_000, bytesPerSecond: 0)) == nil)
  }

  @Test(arguments: [Int64(1), 999, 1_000, 1_500, 1_000_000_000])
  func aRateIsKeptExactly(bytesPerSecond: Int64) {
    let patience = Patience(deadlineMs: 5_000, bytesPerSecond: bytesPerSecond)
    #expect(firstVerdict(Int(bytesPerSecond), patience) == nil)
    if bytesPerSecond > 1 { #expect(firstVerdict(Int(bytesPerSecond) / 2, patience) != nil) }
  }

  @Test func aLargePieceBuysNoLongRest() {
    var pace = Pace(nowMs: 0, heldBytes: 1_000_000)
    #expect(pace.looked(nowMs: 1_000, heldBytes: 0, patience) == .stays)
    #expect(pace.looked(nowMs: 5_999, heldBytes: 0, patience) == .stays)
    #expect(pace.looked(nowMs: 6_000, heldBytes: 0, patience) == .silent)
  }

  /// The kernel takes for a client that reads nothing: that is no progress of the client's.
  @Test func whatTheKernelTakesIsNotTaken() {
    var pace = Pace(nowMs: 0, heldBytes: 0)
    for second in 1...4 {
      pace.sentBytes = 1_000
      let held = second * 1_000
      #expect(pace.looked(nowMs: Int64(second) * 1_000, heldBytes: held, patience) == .stays)
    }
    #expect(pace.looked(nowMs: 5_000, heldBytes: 4_000, patience) == .silent)
  }

  /// The socket never has room for more, but what it held becomes less.
  @Test func whatIsAcknowledgedIsTaken() {
    var pace = Pace(nowMs: 0, heldBytes: 1_000_000)
    for second in 1...1_000 {
      let held = 1_000_000 - second * 100
      #expect(pace.looked(nowMs: Int64(second) * 1_000, heldBytes: held, patience) == .stays)
    }
  }

  /// Of a client that takes `bytes` each second for a quarter of an hour.
  private func firstVerdict(
    _ bytes: Int, _ patience: Patience
  ) -> (verdict: Pace.Verdict, second: Int)? {
    var pace = Pace(nowMs: 0, heldBytes: 0)
    for second in 1...900 {
      pace.sentBytes = bytes
      let verdict = pace.looked(nowMs: Int64(second) * 1_000, heldBytes: 0, patience)
      if verdict != .stays { return (verdict, second) }
    }
    return nil
  }
}
