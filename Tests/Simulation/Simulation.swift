import Glibc

@testable import Millstream

/// Runs one seed.
enum Simulation {
  struct Outcome {
    var violation: String?
    var steps: Int
    var messageCount: Int
  }

  static let steps = 160
  /// One failure is enough where `MILLSTREAM_FIRST_FAILURE` is set: for whoever tries mutations.
  nonisolated(unsafe) private(set) static var mayStop = false
  private static let stopsAtFirst = getenv("MILLSTREAM_FIRST_FAILURE") != nil
  nonisolated(unsafe) private static var lock = pthread_mutex_t()
  nonisolated(unsafe) private static var isTaken = [Bool](
    repeating: false, count: SocketTable.worldCount)

  static func run(seed: UInt64, isTraced: Bool = false) throws -> Outcome {
    let place = takePlace()
    defer { leave(place) }
    RunningSeeds.set(seed, at: place)
    let world = try World(seed: seed, place: place, isTraced: isTraced)
    world.run(steps: steps)
    if world.violation != nil && stopsAtFirst { mayStop = true }
    return Outcome(
      violation: world.violation, steps: world.steps,
      messageCount: world.postgres.records.count)
  }

  /// Worlds that run at the same time have descriptors of their own.
  private static func takePlace() -> Int {
    pthread_mutex_lock(&lock)
    defer { pthread_mutex_unlock(&lock) }
    guard let place = isTaken.firstIndex(of: false) else {
      preconditionFailure("more worlds at once than there is room for")
    }
    isTaken[place] = true
    return place
  }

  private static func leave(_ place: Int) {
    pthread_mutex_lock(&lock)
    defer { pthread_mutex_unlock(&lock) }
    isTaken[place] = false
    RunningSeeds.set(0, at: place)
  }
}

/// Says which seeds were being run when a precondition ends the process.
enum RunningSeeds {
  nonisolated(unsafe) private static let seeds: UnsafeMutablePointer<UInt64> = {
    let seeds = UnsafeMutablePointer<UInt64>.allocate(capacity: SocketTable.worldCount)
    seeds.initialize(repeating: 0, count: SocketTable.worldCount)
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT] {
      signal(number) { number in
        RunningSeeds.tell()
        signal(number, SIG_DFL)
        raise(number)
      }
    }
    return seeds
  }()

  static func set(_ seed: UInt64, at place: Int) {
    seeds[place] = seed
  }

  private static func tell() {
    for place in 0..<SocketTable.worldCount where seeds[place] != 0 {
      withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
        var count = 0
        for byte in "crashed in seed ".utf8 {
          text[count] = CChar(bitPattern: byte)
          count += 1
        }
        var divisor: UInt64 = 1
        while seeds[place] / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
          text[count] = CChar(48 + seeds[place] / divisor % 10)
          count += 1
          divisor /= 10
        }
        text[count] = 10
        _ = write(2, text.baseAddress, count + 1)
      }
    }
  }
}
