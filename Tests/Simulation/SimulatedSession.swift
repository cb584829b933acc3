import Logging

@testable import Millstream

extension Query {
  fileprivate var isListen: Bool { sql.hasPrefix("LISTEN") || sql.hasPrefix("UNLISTEN") }
}

/// Stands in for a session: what is submitted is executed one query after the other at later steps,
/// answered later still, and lost where the session breaks.
final class SimulatedSession: PostgresSession {
  private enum State { case starting, ready, away }

  private struct Open {
    let query: Query
    let sinceMs: Int64
    /// The part of the answer that the snapshot gave, where the rest is of a later moment.
    var highest: String??
    var answer: SimulatedAnswer?

    var rank: UInt8 { (query as? LookQuery)?.streams.first?.store.rawValue ?? 0 }
  }

  private let postgres: SimulatedPostgres
  private var state = State.starting
  private var pipeline: [Open] = []
  /// Where those begin that were not flushed yet.
  private var unsent = 0
  /// The channels that the server has heard of.
  private(set) var channels: Set<String> = []
  /// Called when a query is answered.
  var answered: (Query, SimulatedAnswer) -> Void = { _, _ in }

  init(name: String, loop: EventLoop, postgres: SimulatedPostgres, logger: Logger) {
    self.postgres = postgres
    super.init(
      name: name, loop: loop, settings: ConnectionString.empty, limits: .init(), logger: logger)
  }

  override var isReady: Bool { state == .ready }
  override var isExpected: Bool { state != .away }
  /// As in the pipeline, where each goes out with its settings.
  override var openQueries: Int { 2 * pipeline.count }

  override func start() {}

  override func stop() {}

  override func submit(_ query: Query, moreFollow: Bool = false) {
    guard isReady else { return query.failed(.sessionLost) }
    if query.sql.hasPrefix("SELECT pg_catalog.set_config") { return }
    pipeline.append(Open(query: query, sinceMs: postgres.nowMs))
  }

  /// In which order stores and channels are asked is a dictionary's; here it is always the same.
  override func flush() {
    let fresh = pipeline[unsent...]
    let looks = fresh.prefix { $0.query is LookQuery }
    pipeline.replaceSubrange(looks.indices, with: looks.sorted { $0.rank < $1.rank })
    let listens = fresh.prefix { $0.query.isListen }
    pipeline.replaceSubrange(listens.indices, with: listens.sorted { $0.query.sql < $1.query.sql })
    unsent = pipeline.count
  }

  override func fail(_ reason: String) {
    breakOff()
  }

  // MARK: What the world does with it

  var openCount: Int { pipeline.count }
  var oldestMs: Int64? { pipeline.first?.sinceMs }
  /// What is executed next.
  var unexecuted: Query? { pipeline.first { $0.answer == nil }?.query }
  var hasUnexecuted: Bool { unexecuted != nil }
  var hasAnswers: Bool { pipeline.first?.answer != nil }

  func connect() {
    guard state != .ready else { return }
    state = .ready
    events.ready()
  }

  func breakOff() {
    guard state != .away else { return }
    state = .away
    channels = []
    let unanswered = pipeline
    pipeline = []
    unsent = 0
    for open in unanswered { open.query.failed(.sessionLost) }
    events.lost()
  }

  /// Executes the next query, or the next part of it; `refusal` instead of an answer, if one is given.
  func execute(refusal: String? = nil) {
    guard let index = pipeline.firstIndex(where: { $0.answer == nil }) else { return }
    let query = pipeline[index].query
    if let refusal, !(query is HoldersQuery) {
      pipeline[index].answer = SimulatedAnswer(refusal: refusal)
      return
    }
    guard let tip = query as? TipQuery else {
      listen(query)
      pipeline[index].answer = postgres.answer(to: query)
      return
    }
    if let highest = pipeline[index].highest {
      pipeline[index].answer = postgres.answer(to: tip, highest: highest)
    } else if let highest = postgres.highest(for: tip) {
      pipeline[index].highest = .some(highest)
    } else {
      pipeline[index].answer = .absent
    }
  }

  private func listen(_ query: Query) {
    guard query.isListen else { return }
    let words = query.sql.split(separator: "\"")
    guard words.count == 2 else { return }
    if words[0] == "LISTEN " { channels.insert(String(words[1])) }
    if words[0] == "UNLISTEN " { channels.remove(String(words[1])) }
  }

  /// Hands out the first answer, if it is there.
  func answer() {
    guard let answer = pipeline.first?.answer else { return }
    let open = pipeline.removeFirst()
    answered(open.query, answer)
    unsent = max(unsent - 1, 0)
    answer.hand(to: open.query)
  }
}
