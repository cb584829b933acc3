/// Looks at many streams at once. A store's own says what a row means: it fills `findings`.
class LookQuery: Query {
  let streams: [Stream]
  /// What was found of each stream; nil: the store has no such stream.
  var findings: [Finding?]
  private unowned let store: MessageStore

  /// `sql` takes the names as its one parameter.
  init(sql: String, streams: [Stream], store: MessageStore) {
    self.streams = streams
    self.store = store
    findings = Array(repeating: nil, count: streams.count)
    super.init(sql: sql, parameters: [PostgresStore.arrayLiteral(streams.map(\.storageName))])
  }

  /// Hands on what was found of one stream.
  func found(_ stream: Stream, _ finding: Finding?) {
    store.receiver?.looked(at: stream, finding)
  }

  override func finished() {
    for (stream, finding) in zip(streams, findings) { found(stream, finding) }
  }

  override func failed(_ failure: QueryFailure) {
    for stream in streams { store.lookFailed(at: stream, failure) }
  }
}
