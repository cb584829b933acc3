/// Who wants to know which members are on a stream, until they were told.
///
/// A list is read by one session and what changes comes by another. So what is heard of a stream while its
/// list is on its way is said again behind the list: what is said twice of a member changes nothing, and what
/// is missing would stay missing.
struct PresenceLists {
  /// A connection, or a lane: its slot, and its name, as a slot may be another's by then.
  struct Seat: Equatable {
    let slot: UInt32
    let id: ConnectionID
  }

  /// What is asked for.
  struct Question {
    let stream: PresenceStream
    fileprivate let log: ObjectIdentifier
  }

  private struct Wanted {
    /// By slot: who asks again waits once, and the next in a slot stands for the one before.
    var waiting: [UInt32: ConnectionID] = [:]
    var asked: [Seat] = []
    var heard: [[UInt8]] = []
    var heardBytes = 0
    var isQueued = false
  }

  /// How many bytes of changes are kept while a list is on its way. With more it is asked for again. With the
  /// list they fit what a connection keeps of its own.
  static let maximumHeardBytes = 64 * 1024
  /// How many are told of one list: with all of thousands at once, the loop would stand still.
  static let seatsOfList = 128

  /// By the stream that is heard, of which there is one for several names of a queue, and the name.
  private var wanted: [ObjectIdentifier: [PresenceStream: Wanted]] = [:]
  private var queue = Deque<Question>()
  private var queuedCount = 0

  var isEmpty: Bool { wanted.isEmpty }
  /// How many places there are in the queue, of those who still want something and of others.
  var queueLength: Int { queue.count }

  mutating func want(_ seat: Seat, _ stream: PresenceStream, heardBy log: ObjectIdentifier) {
    wanted[log, default: [:]][stream, default: Wanted()].waiting[seat.slot] = seat.id
    enqueue(Question(stream: stream, log: log))
  }

  /// It has gone: what nobody else wants is not read.
  mutating func left(_ seat: Seat, _ stream: PresenceStream, heardBy log: ObjectIdentifier) {
    guard let entry = wanted[log]?[stream], entry.waiting[seat.slot] == seat.id else { return }
    wanted[log]?[stream]?.waiting[seat.slot] = nil
    guard entry.waiting.count == 1, entry.asked.isEmpty else { return }
    remove(stream, log)
    dropStaleQuestions()
  }

  private mutating func remove(_ stream: PresenceStream, _ log: ObjectIdentifier) {
    if wanted[log]?[stream]?.isQueued == true { queuedCount -= 1 }
    wanted[log]?[stream] = nil
    if wanted[log]?.isEmpty == true { wanted[log] = nil }
  }

  /// Who comes and goes while nothing can be read leaves a place behind each time.
  private mutating func dropStaleQuestions() {
    guard queue.count > 2 * queuedCount + 1024 else { return }
    queue = Deque()
    for (log, names) in wanted {
      for (stream, entry) in names where entry.isQueued {
        queue.append(Question(stream: stream, log: log))
      }
    }
  }

  private mutating func enqueue(_ question: Question) {
    guard let entry = wanted[question.log]?[question.stream], !entry.isQueued, entry.asked.isEmpty
    else { return }
    wanted[question.log]?[question.stream]?.isQueued = true
    queuedCount += 1
    queue.append(question)
  }

  /// The lists that are to be read next, at most so many.
  mutating func take(_ count: Int) -> [Question] {
    var taken: [Question] = []
    while taken.count < count, let question = queue.popFirst() {
      guard var entry = wanted[question.log]?[question.stream], entry.isQueued else { continue }
      for (slot, id) in entry.waiting.prefix(PresenceLists.seatsOfList) {
        entry.asked.append(Seat(slot: slot, id: id))
      }
      for seat in entry.asked { entry.waiting[seat.slot] = nil }
      entry.isQueued = false
      queuedCount -= 1
      entry.heard = []
      entry.heardBytes = 0
      wanted[question.log]?[question.stream] = entry
      taken.append(question)
    }
    return taken
  }

  /// Something has changed on a stream: its frame.
  mutating func heard(_ frame: [UInt8], by log: ObjectIdentifier) {
    guard let names = wanted[log].map({ Array($0.keys) }) else { return }
    for name in names where keepsHeard(name, log) {
      wanted[log]?[name]?.heard.append(frame)
      wanted[log]?[name]?.heardBytes += frame.count
    }
  }

  private func keepsHeard(_ name: PresenceStream, _ log: ObjectIdentifier) -> Bool {
    guard let entry = wanted[log]?[name] else { return false }
    // One more says that it was too much.
    return !entry.asked.isEmpty && entry.heardBytes <= PresenceLists.maximumHeardBytes
  }

  /// A list has come: who is to be told, and what to say behind it.
  mutating func answered(_ question: Question) -> (seats: [Seat], heard: [[UInt8]]) {
    guard var entry = wanted[question.log]?[question.stream] else { return ([], []) }
    if entry.heardBytes > PresenceLists.maximumHeardBytes {
      failed(question)
      return ([], [])
    }
    let answer = (entry.asked, entry.heard)
    entry.asked = []
    entry.heard = []
    entry.heardBytes = 0
    wanted[question.log]?[question.stream] = entry
    if entry.waiting.isEmpty { remove(question.stream, question.log) }
    enqueue(question)
    return answer
  }

  /// A list did not come: it is asked for again.
  mutating func failed(_ question: Question) {
    guard var entry = wanted[question.log]?[question.stream] else { return }
    for seat in entry.asked where entry.waiting[seat.slot] == nil {
      entry.waiting[seat.slot] = seat.id
    }
    entry.asked = []
    wanted[question.log]?[question.stream] = entry
    enqueue(question)
  }

  /// A store takes part no longer.
  mutating func forget(_ store: StoreKind) {
    for (log, names) in wanted where names.keys.contains(where: { $0.store == store }) {
      queuedCount -= names.values.count { $0.isQueued }
      wanted[log] = nil
    }
  }
}
