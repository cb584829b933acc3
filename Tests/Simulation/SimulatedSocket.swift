import Glibc

@testable import Millstream

/// One client's socket: the kernel's buffer has room for so many bytes, and takes as many at once as
/// it likes.
final class SimulatedSocket {
  let descriptor: Int32
  private var random: SeededGenerator
  /// How many bytes there is room for; nil: for any number.
  var room: Int?
  /// It takes any part of what it is given, and now and then a signal comes between.
  var isRagged: Bool
  var isHungUp = false
  /// It was full once, or took a part only, because the world made it so.
  var hasStalled = false
  private(set) var isClosed = false
  private(set) var taken: [UInt8] = []
  private var isUsed = false
  /// Called before it is given anything for the first time, with what that is.
  var opens: (UnsafeRawBufferPointer) -> Void = { _ in }
  var closes: () -> Void = {}
  /// When it took something last, or had nothing to take.
  var movedMs: Int64

  init(descriptor: Int32, seed: UInt64, isRagged: Bool, nowMs: Int64) {
    self.descriptor = descriptor
    self.isRagged = isRagged
    movedMs = nowMs
    random = SeededGenerator(seed: seed)
    SocketTable.shared[descriptor] = self
  }

  fileprivate func send(_ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    precondition(!isClosed, "nobody sends to what is closed")
    precondition(count > 0, "nobody sends nothing")
    if !isUsed {
      isUsed = true
      opens(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    if isHungUp { return SimulatedSocket.fail(EPIPE) }
    if isRagged && random.once(in: 8) { return SimulatedSocket.fail(EINTR) }
    var allowed = min(count, room ?? count)
    if allowed == 0 { return SimulatedSocket.fail(EAGAIN) }
    if isRagged && random.once(in: 2) { allowed = random.number(1..<(allowed + 1)) }
    taken.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: allowed))
    room = room.map { $0 - allowed }
    return allowed
  }

  fileprivate func receive() -> Int {
    isHungUp ? 0 : SimulatedSocket.fail(EAGAIN)
  }

  fileprivate func close() -> Int32 {
    precondition(!isClosed, "a descriptor is closed once")
    isClosed = true
    closes()
    SocketTable.shared[descriptor] = nil
    return 0
  }

  private static func fail(_ code: Int32) -> Int {
    errno = code
    return -1
  }
}

/// The sockets by descriptor: system calls are C functions and find them nowhere else. Worlds that run
/// at the same time use descriptors of their own.
struct SocketTable {
  nonisolated(unsafe) static var shared = SocketTable()
  static let worldDescriptors: Int32 = 64
  static let worldCount = 16

  private let sockets: UnsafeMutablePointer<SimulatedSocket?>

  private init() {
    let count = Int(SocketTable.worldDescriptors) * SocketTable.worldCount
    sockets = .allocate(capacity: count)
    sockets.initialize(repeating: nil, count: count)
  }

  subscript(descriptor: Int32) -> SimulatedSocket? {
    get { sockets[Int(descriptor)] }
    nonmutating set { sockets[Int(descriptor)] = newValue }
  }

  static let calls = SystemCalls(
    sendCall: { descriptor, bytes, count, _ in shared[descriptor]!.send(bytes, count) },
    receiveCall: { descriptor, _, _, _ in shared[descriptor]!.receive() },
    closeCall: { descriptor in shared[descriptor]!.close() },
    heldBytesCall: { _ in 0 })
}
