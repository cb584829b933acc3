@testable import Millstream

/// A broadcast that is never stored.
final class Ephemeral {
  let number: Int
  let queue: SimulatedQueue
  let visibleTo: String?
  /// The step in which the streamer heard of it.
  var step: Int?
  /// Until when it may have waited for what was stored before it.
  private(set) var lastMs: Int64 = 0
  /// Those who were live and took everything at that moment.
  var owed: Set<ConnectionID> = []

  init(number: Int, queue: SimulatedQueue, visibleTo: String?) {
    self.number = number
    self.queue = queue
    self.visibleTo = visibleTo
  }

  /// The process has heard of it, and perhaps the loop not yet.
  var isOnItsWay: Bool { lastMs == .max }

  func heard(step: Int) {
    self.step = step
    lastMs = .max
  }

  func arrived(at nowMs: Int64) {
    // The reminder comes with a tick, and what is crowded waits for its turn.
    lastMs = nowMs + Dispatcher.longestEphemeralWaitMs + 100
  }

  func isFor(_ connection: ConnectionID) -> Bool {
    visibleTo.map { SimulatedQueue.carries($0, connection) } ?? true
  }

  func isOwed(to connection: ConnectionID) -> Bool {
    owed.contains(connection) && isFor(connection)
  }

  var payload: String {
    let label = visibleTo.map { #""\#($0)""# } ?? "null"
    return queue.store == .pgmq
      ? #"{"html":"e\#(number)","visible_to":\#(label)}"#
      : #"{"s":"\#(queue.name)","d":"e\#(number)","v":\#(label)}"#
  }
}

extension World {
  /// Those who take at once what is sent to a stream; of one that is stored nowhere, also those who follow a
  /// pattern that it fits and have not heard of it.
  func receptive(to queue: SimulatedQueue) -> [ConnectionID] {
    let own = judges.filter { $0.queue === queue && $0.isReceptive }.map(\.id)
    if queue.current != nil { return own }
    return own + carriers.filter { $0.isReceptive && $0.isToFollow(queue) }.map(\.id)
  }
}
