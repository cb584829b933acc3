/// Finds out how long messages take from their commit to the sockets, for one of them a second: Postgres is
/// asked how old the message is, right when the pass that sent it has ended. So the clocks of the two
/// machines need not agree, and nothing is paid by the other messages.
///
/// Only of the native store the time of the commit is known, and only where it begins: `published_at` is
/// written by the trigger that runs at the commit.
final class CommitProbe {
  /// A message may be chosen; set about once a second.
  private var isDue = false
  private var nextMs: Int64 = 0
  private var chosen: (stream: Stream, id: Int64)?
  private static let pauseMs: Int64 = 1_000
  /// An answer that took longer says too little: it is not known when the question was read.
  fileprivate static let longestAnswerUs: Int64 = 100_000

  /// Time has passed.
  func tick(_ nowMs: Int64) {
    guard nowMs >= nextMs else { return }
    nextMs = nowMs + CommitProbe.pauseMs
    isDue = true
    chosen = nil
  }

  /// A message goes into the log of `stream`.
  func appended(_ id: Int64?, to stream: Stream) {
    guard isDue, let id, stream.store == .native else { return }
    isDue = false
    chosen = (stream, id)
  }

  /// All who can take it have what is in the log of `stream`.
  func passEnded(_ stream: Stream, in dispatcher: Dispatcher) {
    guard let chosen, chosen.stream === stream else { return }
    self.chosen = nil
    guard !stream.live.isEmpty, let store = dispatcher.stores[.native] as? NativeStore else {
      return
    }
    let clock = dispatcher.writer.clock
    let query = AgeQuery(of: stream, id: chosen.id, clock: clock) {
      [writer = dispatcher.writer] us in
      writer.statistics.commitToSocket.observe(us: us)
    }
    store.submit(query)
    store.flush()
  }
}

/// How old a native message was when it was asked for.
private final class AgeQuery: Query {
  private let clock: Clock
  private let askedUs: Int64
  private let answered: (Int64) -> Void

  init(of stream: Stream, id: Int64, clock: Clock, answered: @escaping (Int64) -> Void) {
    self.clock = clock
    self.answered = answered
    askedUs = clock.monotonicUs
    super.init(
      sql: """
        SELECT (extract(epoch FROM pg_catalog.clock_timestamp() - m.published_at) * 1000000)::bigint
          FROM millstream.streams AS s JOIN millstream.messages AS m USING (stream_id)
         WHERE s.name = $1::text AND m.id = $2::bigint
        """,
      parameters: [String(decoding: stream.storageName, as: UTF8.self), String(id)])
  }

  /// Postgres has said it at some time between the question and the answer.
  override func row(_ row: Row) {
    let tookUs = clock.monotonicUs - askedUs
    guard tookUs <= CommitProbe.longestAnswerUs, let ageUs = row.integer(0) else { return }
    answered(ageUs - tookUs / 2)
  }
}
