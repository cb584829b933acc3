import Foundation
import Testing

@testable import Millstream

/// Seeds, thousands of them: each is a story that no invariant may break in.
///
/// A seed that fails is printed; `MILLSTREAM_SEED=N swift test --filter SimulationTests` tells its
/// story. `make simulate` runs new ones for as long as it is told. Where patterns are followed, the order of
/// sets has a part in it: with SWIFT_DETERMINISTIC_HASHING=1 it is always the same. Of three seeds, the last
/// has clients with many streams on one connection (`World.isWide`); where MILLSTREAM_WIDE is set, no others
/// are run.
@Suite struct SimulationTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let isAsked =
    environment["MILLSTREAM_SEED"] != nil || environment["MILLSTREAM_SECONDS"] != nil
  private static let areAllWide = environment["MILLSTREAM_WIDE"] != nil
  private static let seedsInPart: UInt64 = 100
  private static let parts = UInt64(environment["MILLSTREAM_SEEDS"] ?? "").map { $0 / seedsInPart }

  /// Those with many streams on one connection take longer: unless a number of seeds is asked for, a third
  /// of them has a part.
  private static func isTaken(_ seed: UInt64) -> Bool {
    if areAllWide { return seed % 3 == 2 }
    return parts != nil || seed % 3 != 2 || seed % 9 == 2
  }

  @Test(.enabled(if: !isAsked), arguments: 0..<(parts ?? 18))
  func nothingBreaks(part: UInt64) throws {
    let first = part * SimulationTests.seedsInPart + 1
    for seed in first..<(first + SimulationTests.seedsInPart)
    where !Simulation.mayStop && SimulationTests.isTaken(seed) {
      if let violation = try Simulation.run(seed: seed).violation { Issue.record("\(violation)") }
    }
  }

  /// Seeds that have found a fault; they mean what they did until the steps or their weights change.
  @Test(
    .enabled(if: !isAsked),
    arguments: [
      8_152_733_641_109_040_079, 2_143_342_935_634_640_304, 2_143_342_935_634_649_008,
      3_775_203_709_192_649_988, 3_775_203_709_192_666_282, 6_152_239_593_416_845_535 as UInt64,
    ])
  func staysMended(seed: UInt64) throws {
    if let violation = try Simulation.run(seed: seed).violation { Issue.record("\(violation)") }
  }

  @Test(.enabled(if: environment["MILLSTREAM_SEED"] != nil)) func oneSeedIsTold() throws {
    let seed = UInt64(SimulationTests.environment["MILLSTREAM_SEED"] ?? "") ?? 0
    let outcome = try Simulation.run(seed: seed, isTraced: true)
    #expect(outcome.violation == nil)
  }

  /// Two at a time; each says what it has done.
  @Test(.enabled(if: environment["MILLSTREAM_SECONDS"] != nil), arguments: 1...2)
  func asLongAsItIsTold(walker: Int) throws {
    let seconds = Double(SimulationTests.environment["MILLSTREAM_SECONDS"] ?? "") ?? 60
    let end = Date(timeIntervalSinceNow: seconds)
    var seed = UInt64.random(in: 1...UInt64.max / 2)
    var totals = (seeds: 0, steps: 0, messages: 0, failures: 0)
    while Date() < end && totals.failures < 5 {
      if SimulationTests.areAllWide { seed = seed / 3 * 3 + 2 }
      let outcome = try Simulation.run(seed: seed)
      totals.seeds += 1
      totals.steps += outcome.steps
      totals.messages += outcome.messageCount
      if let violation = outcome.violation {
        totals.failures += 1
        Issue.record("\(violation)")
      }
      seed += 1
    }
    let done = "\(totals.seeds) seeds, \(totals.steps) steps, \(totals.messages) messages"
    print("simulated by \(walker): \(done)")
  }
}
