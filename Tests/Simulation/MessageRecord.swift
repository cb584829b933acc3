@testable import Millstream

/// One message, and what became of it: what the invariants are checked against.
final class MessageRecord {
  enum State { case taken, committed, rolledBack }

  let serial: Int
  /// It is kept by the server, as is all that it ever was.
  unowned let queue: SimulatedQueue
  let text: String
  /// The label that is needed, and the one that does not get it.
  var visibleTo: String?
  var exclude: ConnectionID?
  /// Where its id is of; native: known at the commit.
  unowned var incarnation: Incarnation?
  var id: Int64 = 0
  var state = State.taken
  /// The start of its transaction, and since when that holds the lock of the ids.
  var enqueuedMs: Int64
  var lockedMs: Int64
  var committedMs: Int64 = 0
  /// How many messages had been committed, this one included.
  var commitNumber = 0
  /// It may be given up before anybody has waited for long: of a transaction that was prepared, which may be
  /// any of those that were waited for, and by the first look at a stream.
  var mayBeLate = false
  var isRemoved = false
  /// Retention removed it, and whoever has not had it has to be told.
  var mustBeTold = false
  /// Somebody was given a higher id before anybody may give up waiting for this one.
  var passedEarly: String?

  init(serial: Int, queue: SimulatedQueue, text: String, nowMs: Int64) {
    self.serial = serial
    self.queue = queue
    self.text = text
    enqueuedMs = nowMs
    lockedMs = nowMs
  }

  var isThere: Bool { state == .committed && !isRemoved }

  func isFor(_ connection: ConnectionID) -> Bool {
    if exclude == connection { return false }
    return visibleTo.map { SimulatedQueue.carries($0, connection) } ?? true
  }

  /// The frame, to the byte.
  func frame(hasID: Bool) -> String {
    let suffix = incarnation?.epoch.map { "-" + String($0, radix: 16) } ?? ""
    return (hasID ? "id: \(id)\(suffix)\n" : "") + "event: turbo-stream\ndata: \(text)"
  }
}

/// The life of a queue between two times that its ids begin anew.
final class Incarnation {
  let number: Int
  /// The table of a queue, or the epoch of a native stream; and the sequence.
  let identity: Int64
  let relation: Int64
  let epoch: UInt32?
  /// Where an empty log began to be read: what had gone below nobody is told of.
  var firstRead: Int64 = 0
  /// All ids that were given out, those that were rolled back among them.
  var records: [MessageRecord] = []

  init(number: Int, identity: Int64, relation: Int64, epoch: UInt32?) {
    self.number = number
    self.identity = identity
    self.relation = relation
    self.epoch = epoch
  }

  var lastID: Int64 { Int64(records.count) }

  /// What is there above `id`, in order.
  func visible(after id: Int64, limit: Int) -> [MessageRecord] {
    var found: [MessageRecord] = []
    var index = max(Int(id), 0)
    while index < records.count && found.count < limit {
      if records[index].isThere { found.append(records[index]) }
      index += 1
    }
    return found
  }
}

/// A queue or a native stream, in the simulated server.
final class SimulatedQueue {
  let store: StoreKind
  let name: String
  /// What stands for it in a cursor of many.
  let key: CursorVector.Key
  private(set) var incarnations: [Incarnation] = []
  var current: Incarnation? {
    didSet { if let current, incarnations.last !== current { incarnations.append(current) } }
  }
  /// The notify trigger keeps silent for so long after a wake-up; nil: there is none.
  var throttleMs: Int64?
  var notifiedMs: Int64 = -1_000_000
  /// Nobody may ask the sequence where it stands.
  var hidesSequence = false
  /// Its ids went back and nobody has noticed; until then nobody publishes to it.
  var isRewound = false
  var rewoundMs: Int64 = 0
  /// Its ids went back while the streamer had none of them: it may say so to those, too, who need not know.
  var hasUnnoticedRewind = false
  /// Which incarnation the streamer knew after the last step.
  var seenIdentity: Int64 = 0
  var seenTip: Int64 = 0
  var seenFloor: Int64 = 0

  init(store: StoreKind, name: String) {
    self.store = store
    self.name = name
    key = CursorVector.Key(name.utf8)
  }

  var channel: String { store == .native ? NativeSchema.channel : "pgmq.q_\(name).INSERT" }
  var channels: [String] { [channel] }

  /// What the streamer takes it for.
  func incarnation(of stream: Stream) -> Incarnation? {
    let known = incarnations.filter { $0.identity == stream.identity }
    return isRewound && stream.log.tip > 0 ? known.dropLast().last : known.last
  }

  static func carries(_ label: String, _ connection: ConnectionID) -> Bool {
    label == (connection.value % 2 == 0 ? "even" : "odd")
  }
}
