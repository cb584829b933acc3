@testable import Millstream

/// What a world is about: what it takes to find some faults hardly ever happens by chance at once.
enum Habit: CaseIterable {
  /// Whatever comes.
  case anything
  /// Nothing is lost on the way, and nobody looks for safety's sake: each wake-up has to do.
  case prompt
  /// Transactions are prepared while they are waited for.
  case prepared
  /// Messages go while nobody reads, and clients are behind.
  case forgetful
  /// The reading session breaks all the time, and ids are missing that never come.
  case broken
  /// Transactions stay open for longer than anybody waits, and clients are slow.
  case late

  /// Where there are many streams on one connection, they wait for each other: that nobody comes by one of
  /// them is seen where nothing else brings it later.
  static func chosen(isWide: Bool, _ random: inout SeededGenerator) -> Habit {
    if isWide && random.once(in: 3) { return .prompt }
    return random.once(in: 2) ? .anything : random.pick(allCases)!
  }

  func changes(_ limits: inout Dispatcher.Limits, _ random: inout SeededGenerator) {
    switch self {
    case .anything, .broken: break
    case .prompt:
      limits.safetyPollMs = 3_600_000
      limits.logBytes = 65_536
    case .prepared: limits.holeWaitMs = 3_000
    case .forgetful: limits.logBytes = random.pick([1_024, 1_024, 65_536])!
    case .late: limits.logBytes = random.pick([1_024, 1_024, 2_048])!
    }
  }

  /// How long the notify trigger keeps silent; nil: there is none. What is to be prepared must not have
  /// told anybody.
  func throttleMs(_ random: inout SeededGenerator) -> Int64? {
    switch self {
    case .prompt: 0
    case .prepared: random.pick([250, nil])!
    case .anything, .forgetful, .broken, .late: random.pick([0, 0, 0, 250, nil])!
    }
  }

  /// How much oftener than by chance a step is taken; nil: it is left to chance.
  func factor(_ step: Step) -> Int? {
    switch (self, step) {
    case (.prompt, .lose), (.prompt, .refuse), (.prompt, .rewind), (.prompt, .drop): 0
    case (.prompt, .rebirth), (.prepared, .rebirth), (.broken, .rebirth): 0
    case (.prepared, .prepare): 8
    case (.prepared, .begin), (.prepared, .work): 3
    case (.prepared, .commit), (.prepared, .rollBack): 1
    case (.prepared, .drop), (.prepared, .purge), (.prepared, .retain), (.prepared, .absence): 0
    case (.broken, .breakReads): 8
    case (.broken, .begin), (.broken, .work), (.broken, .rollBack), (.broken, .reconnectReads): 3
    case (.broken, .drop), (.broken, .purge), (.broken, .retain), (.broken, .absence): 0
    case (.forgetful, .absence): 3
    case (.forgetful, .connect), (.forgetful, .comeBack), (.forgetful, .rollBack): 2
    case (.forgetful, .drop), (.forgetful, .purge), (.forgetful, .rewind): 0
    case (.late, .begin), (.late, .work), (.late, .connect), (.late, .stall), (.late, .burst): 3
    case (.late, .commit), (.late, .drop), (.late, .purge), (.late, .rewind): 1
    case (.late, .pass): 3
    case (.late, .lateness): 4
    case (.prompt, .begin), (.prompt, .absence), (.prompt, .lateness): 1
    case (.prompt, .calm), (.prompt, .appear), (.prompt, .hangUpMany): 3
    default: nil
    }
  }
}
