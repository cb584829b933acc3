@testable import Millstream

/// Whoever has a socket.
protocol SimulatedPeer: AnyObject {
  var world: World { get }
  var id: ConnectionID { get }
  /// What it is subscribed to, for people.
  var subject: String { get }
  var socket: SimulatedSocket { get }
  var connection: ConnectionRef { get }
  var bornMs: Int64 { get }
  /// Somebody has closed it.
  var isAsked: Bool { get }
  /// Why it has ended.
  var endReason: CloseReason? { get set }
  /// It has got the last that it gets.
  var isTold: Bool { get }

  /// This is to be closed: is it meant?
  func isToClose(_ target: World.Unwanted)

  /// What was to be closed is closed now, and nothing else.
  func checkClosing()

  /// What it has not been given though everything has come to rest; nil: nothing.
  func missing() -> String?
}

extension SimulatedPeer {
  var isOpen: Bool { !socket.isClosed }
  var hasStalled: Bool { socket.hasStalled }
  /// Whether it takes whatever it is sent.
  var takesAll: Bool { isOpen && socket.room == nil && !socket.isRagged && !socket.isHungUp }

  func expect(_ block: String, _ expected: String) {
    if block != expected { fails("got <\(block)> instead of <\(expected)>") }
  }

  func fails(_ reason: String) {
    world.fails("client \(id) of \(subject): \(reason)")
  }

  /// The first of what was sent to its stream while it would have taken it, and that it has not had.
  func missingEphemeral(of queue: SimulatedQueue, seen: Set<Int>) -> String? {
    // Whoever is moved out of a small log reads on from the store, where there are none.
    if hasStalled || world.limits.logBytes < 8_192 { return nil }
    for ephemeral in world.ephemerals where ephemeral.queue === queue && ephemeral.isOwed(to: id) {
      if !seen.contains(ephemeral.number) { return "lacks e\(ephemeral.number) of \(queue.name)" }
    }
    return nil
  }
}

/// What a client has read of what its socket took: whole frames, one after the other.
struct ReceivedFrames {
  /// How many it has read.
  private(set) var count = 0
  /// The first byte that is not read, and the first at which no frame can end yet.
  private var parsed = 0
  private var looked = 0

  /// The next frame, without the blank line at its end; nil: it is not there as a whole.
  mutating func next(of socket: SimulatedSocket) -> String? {
    let bytes = socket.taken
    while looked + 1 < bytes.count {
      guard bytes[looked] == UInt8(ascii: "\n"), bytes[looked + 1] == UInt8(ascii: "\n") else {
        looked += 1
        continue
      }
      let frame = String(decoding: bytes[parsed..<looked], as: UTF8.self)
      looked += 2
      parsed = looked
      count += 1
      return frame
    }
    return nil
  }
}

extension World {
  /// Somebody comes. `fullOnce`: once in so many times the socket has room for less than `room` bytes.
  func makeSocket(fullOnce: Int, room: Int) -> (id: ConnectionID, socket: SimulatedSocket)? {
    let descriptors = firstDescriptor..<(firstDescriptor + SocketTable.worldDescriptors)
    guard let descriptor = descriptors.first(where: { SocketTable.shared[$0] == nil }) else {
      return nil
    }
    let id = ConnectionID(value: random.next() | 1 << 63)
    let socket = SimulatedSocket(
      descriptor: descriptor, seed: random.next(), isRagged: random.once(in: 3),
      nowMs: postgres.nowMs)
    if random.once(in: fullOnce) { socket.room = random.number(0..<room) }
    socket.hasStalled = socket.room != nil
    return (id, socket)
  }
}
