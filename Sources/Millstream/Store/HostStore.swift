/// Where messages are that are not in Postgres.
///
/// Ids of a stream begin with 1 and only grow; an id that was visible stays what it is, and a lower one does
/// not turn up later. Everything is called on the loop's thread, and answered there, now or later. Say
/// ``Instance/notify(_:)`` when a stream has something new.
public protocol MessageSource: AnyObject {
  /// How far does the stream of this name go? Asked when it gets its first subscriber, and each
  /// ``Configuration/safetyPollMs`` while it has any.
  func position(of stream: String, _ question: PositionQuestion)

  /// The first `limit` messages above the id `after`, in order: ``ReadQuestion/add(_:)`` for each, then
  /// ``ReadQuestion/end(hasBefore:)``. Fewer means: that is all there is.
  func messages(of stream: String, after: Int64, limit: Int, _ question: ReadQuestion)
}

/// Asks how far a stream goes. One that is let go without an answer has failed. Only the first answer
/// counts.
public final class PositionQuestion {
  private weak var store: HostStore?
  private let stream: Stream
  private var isOpen = true

  init(store: HostStore, stream: Stream) {
    self.store = store
    self.stream = stream
  }

  deinit {
    failed()
  }

  /// The stream's newest message has the id `last` (0: there is none yet). `epoch` tells this stream from
  /// an earlier one of the same name; nil: the source has no such thing.
  public func answer(last: Int64, epoch: UInt32? = nil) {
    let identity = Int64(epoch ?? 0) + 1
    answer(Finding(identity: identity, highestID: max(last, 0), tip: max(last, 0), epoch: epoch))
  }

  /// There is no such stream (yet).
  public func absent() {
    answer(nil)
  }

  /// It cannot be said; it is asked again within ``Configuration/safetyPollMs``, or when the stream is
  /// notified. Whoever waits for the stream to be known waits for a second answer, and is let in then.
  public func failed() {
    guard close() else { return }
    store?.receiver?.questionFailed(
      of: stream, .refused(sqlState: "", message: "no position"), page: nil)
  }

  private func answer(_ finding: Finding?) {
    guard close() else { return }
    store?.receiver?.looked(at: stream, finding)
  }

  private func close() -> Bool {
    defer { isOpen = false }
    return isOpen && store?.isEnded == false
  }
}

/// Asks for messages. One that is let go without an end has failed.
public final class ReadQuestion {
  private enum Purpose {
    case log(LogRead)
    case page(PageRead)
  }

  private weak var store: HostStore?
  private let stream: Stream
  private let purpose: Purpose
  private let rows = CollectedRows()
  private var last: Int64
  private let limit: Int
  private let identity: Int64
  private var isOpen = true

  init(store: HostStore, log read: LogRead) {
    self.store = store
    stream = read.stream
    purpose = .log(read)
    last = read.stream.log.tip
    limit = read.limit
    identity = read.stream.identity
  }

  init(store: HostStore, page read: PageRead) {
    self.store = store
    stream = read.stream
    purpose = .page(read)
    last = read.after
    limit = read.limit
    identity = read.stream.identity
  }

  deinit {
    failed()
  }

  /// One message; its bytes are copied. False, and it is left out: its id is not above the one before, or
  /// it is one more than was asked for, or the question was answered already.
  @discardableResult
  public func add(_ message: StreamMessage) -> Bool {
    var isTaken = false
    message.lend { isTaken = add($0) }
    return isTaken
  }

  private func add(_ message: Message) -> Bool {
    guard isOpen, let id = message.id, id > last, rows.count < limit else { return false }
    last = id
    rows.append(message)
    return true
  }

  /// That is all. `hasBefore`: a message at or below `after` still exists; if not, a client is told that
  /// what it may have missed is gone.
  public func end(hasBefore: Bool) {
    guard let store, close() else { return }
    rows.hasBefore = hasBefore
    switch purpose {
    case .log(let read):
      if identity == stream.identity { return read.finish(rows) }
      store.foundAnother(than: stream)
    case .page(let read):
      if read.isCurrent { read.finish(rows) }
    }
  }

  /// They cannot be read; they are asked for again within ``Configuration/safetyPollMs``, or when the stream
  /// is notified.
  public func failed() {
    guard let store, close() else { return }
    let failure = QueryFailure.refused(sqlState: "", message: "no messages")
    switch purpose {
    case .log: store.receiver?.questionFailed(of: stream, failure, page: nil)
    case .page(let read): read.failed(failure)
    }
  }

  private func close() -> Bool {
    guard isOpen else { return false }
    isOpen = false
    if case .page = purpose { store?.openPages -= 1 }
    return store?.isEnded == false
  }
}

/// The store of a host that keeps its messages itself.
final class HostStore: MessageStore {
  private let source: MessageSource
  /// Answers count for nothing any more.
  private(set) var isEnded = false

  init(source: MessageSource) {
    self.source = source
    super.init(kind: .host)
  }

  func end() {
    isEnded = true
  }

  override func look(at streams: [Stream]) {
    for stream in streams {
      source.position(
        of: stream.publicIdentity.name, PositionQuestion(store: self, stream: stream))
    }
  }

  override func read(_ stream: Stream) {
    let read = LogRead(store: self, stream: stream)
    ask(stream, after: stream.log.tip, limit: read.limit, ReadQuestion(store: self, log: read))
  }

  override func readPage(of stream: Stream, after: Int64) {
    openPages += 1
    let read = PageRead(store: self, stream: stream, after: after)
    ask(stream, after: after, limit: read.limit, ReadQuestion(store: self, page: read))
  }

  private func ask(_ stream: Stream, after: Int64, limit: Int, _ question: ReadQuestion) {
    source.messages(of: stream.publicIdentity.name, after: after, limit: limit, question)
  }
}
