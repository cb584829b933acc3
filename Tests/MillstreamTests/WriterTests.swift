import Glibc
import Testing

@testable import Millstream

/// What the scripted socket takes, and what it has taken. The suite that uses it is serialized.
nonisolated(unsafe) private var script: [Int] = []
nonisolated(unsafe) private var taken: [UInt8] = []

/// A `send` that takes as many bytes as the script says (0: would block, -1: broken pipe, -2: given
/// up); after the script's end, everything.
private let scriptedSend: SystemCalls.Send = { _, bytes, count, _ in
  let allowed = script.isEmpty ? count : script.removeFirst()
  if allowed <= 0 {
    errno = allowed == 0 ? EAGAIN : allowed == -1 ? EPIPE : ETIMEDOUT
    return -1
  }
  let sent = min(allowed, count)
  taken.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: sent))
  return sent
}

@Suite(.serialized) struct WriterTests {
  private let loop: EventLoop
  private let writer: Writer
  private let fanOut: FanOut
  private let stream = Stream(store: .native, storageName: Array("s".utf8))

  init() throws {
    script = []
    taken = []
    loop = try EventLoop()
    writer = Writer(
      loop: loop, clock: .system, calls: SystemCalls(sendCall: scriptedSend))
    fanOut = FanOut(writer: writer)
  }

  @Test(arguments: 1...80) func anyPartialWriteGivesTheSameBytes(step: Int) {
    let connection = join()
    append(1...5)
    script = Array(repeating: [step, 0], count: 400).flatMap { $0 }
    fanOut.enqueue(stream)
    fanOut.runSlice()
    while connection.pointee.isBlocked { writer.pump(connection) }
    #expect(taken == bytes(of: 1...5))
    #expect(connection.pointee.position == stream.log.end)
  }

  @Test func fullSocketIsLeftAloneUntilItIsWritable() {
    let connection = join()
    append(1...1)
    script = [0]
    fanOut.enqueue(stream)
    fanOut.runSlice()
    #expect(connection.pointee.isBlocked)
    append(2...2)
    fanOut.enqueue(stream)
    fanOut.runSlice()
    #expect(taken.isEmpty)
    writer.pump(connection)
    #expect(taken == bytes(of: 1...2))
    #expect(!connection.pointee.isBlocked)
  }

  @Test(arguments: [(-1, CloseReason.clientGone), (-2, .timedOut)])
  func whatTheKernelSaysIsTheReason(outcome: Int, reason: CloseReason) {
    let connections = (0..<3).map { _ in join() }
    append(1...1)
    script = [outcome]
    fanOut.enqueue(stream)
    fanOut.runSlice()
    script = [outcome]
    writer.sendOwn([1], to: connections[1])
    script = [outcome]
    [UInt8](": \n\n".utf8).withUnsafeBytes { writer.sendHeartbeat($0, to: connections[2]) }
    #expect(connections.allSatisfy { $0.pointee.phase == .closing })
    #expect(connections.allSatisfy { $0.pointee.closeReason == reason })
    #expect(writer.statistics.closed(reason) == 3)
  }

  @Test func closedConnectionIsLeftAloneUntilItIsReaped() {
    let connection = join()
    append(1...1)
    script = [0]
    fanOut.enqueue(stream)
    fanOut.runSlice()
    writer.close(connection, .writeDeadline)
    append(2...2)
    fanOut.enqueue(stream)
    script = [0]
    fanOut.runSlice()
    writer.pump(connection)
    #expect(taken.isEmpty)
    #expect(writer.blocked.first == ConnectionTable.none)
    writer.reap { stream.leave($0) }
    #expect(writer.table.count == 0 && stream.subscriberCount == 0)
  }

  @Test func ownBytesNeverCutAFrame() {
    let connection = join()
    append(1...2)
    script = [7]
    fanOut.enqueue(stream)
    fanOut.runSlice()
    writer.sendOwn(ControlFrames.goodbye, to: connection)
    writer.pump(connection)
    #expect(taken == bytes(of: 1...1) + ControlFrames.goodbye + bytes(of: 2...2))
  }

  @Test func heartbeatNeverCutsAFrame() {
    let connection = join()
    append(1...1)
    script = [7]
    fanOut.enqueue(stream)
    fanOut.runSlice()
    [UInt8](": heartbeat 1\n\n".utf8).withUnsafeBytes { writer.sendHeartbeat($0, to: connection) }
    writer.pump(connection)
    #expect(taken == bytes(of: 1...1))
  }

  @Test func heartbeatThatIsCutIsFinishedFirst() {
    let connection = join()
    let comment = ControlFrames.heartbeat(unixSeconds: 5)
    script = [4]
    comment.withUnsafeBytes { writer.sendHeartbeat($0, to: connection) }
    append(1...1)
    writer.pump(connection)
    #expect(taken == comment + bytes(of: 1...1))
  }

  @Test func excludedConnectionGetsTheRest() {
    let connection = join()
    append(1...1)
    withMessage(id: 2, "m2", exclude: connection.pointee.id.description) { stream.log.append($0) }
    append(3...3)
    fanOut.enqueue(stream)
    fanOut.runSlice()
    #expect(taken == bytes(of: 1...1) + bytes(of: 3...3))
  }

  @Test(arguments: [true, false]) func labelDecides(isCarried: Bool) {
    _ = join()
    writer.audience = { label, _ in isCarried && label == "staff" }
    withMessage(id: 1, "m1", visibleTo: "staff") { stream.log.append($0) }
    append(2...2)
    fanOut.enqueue(stream)
    fanOut.runSlice()
    #expect(taken == (isCarried ? bytes(of: 1...2) : bytes(of: 2...2)))
  }

  @Test func whoeverLeavesDuringAPassMakesNobodyMissIt() {
    let connections = (0..<600).map { _ in join() }
    append(1...1)
    fanOut.enqueue(stream)
    fanOut.runSlice()
    for connection in connections[0..<100] { writer.close(connection, .requested) }
    writer.reap { stream.leave($0) }
    while fanOut.hasMore { fanOut.runSlice() }
    let left = connections[100...]
    #expect(left.allSatisfy { $0.pointee.position == stream.log.end })
  }

  @Test func framesThatComeDuringAPassReachThoseWhoHadTheirTurn() {
    let connections = (0..<600).map { _ in join() }
    append(1...1)
    fanOut.enqueue(stream)
    fanOut.runSlice()
    append(2...2)
    fanOut.enqueue(stream)
    while fanOut.hasMore { fanOut.runSlice() }
    #expect(connections.allSatisfy { $0.pointee.position == stream.log.end })
  }

  @Test func whoeverTakesNothingIsOverdueFirst() {
    let connections = (0..<3).map { _ in join() }
    append(1...1)
    script = [0, 0, 0]
    fanOut.enqueue(stream)
    fanOut.runSlice()
    script = [3, 0]
    writer.pump(connections[0])
    let now = writer.clock.monotonicMs
    #expect(writer.blocked.due(nowMs: now, intervalMs: 60_000).isEmpty)
    let due = writer.blocked.due(nowMs: now + 60_000, intervalMs: 50_000)
    #expect(due == [connections[1], connections[2], connections[0]])
    let first = writer.blocked.due(nowMs: now + 60_000, intervalMs: 50_000, atMost: 2)
    #expect(first == [connections[1], connections[2]])
  }

  private func join() -> ConnectionRef {
    var ends: [Int32] = [-1, -1]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
    close(ends[1])
    let connection = writer.adopt(ends[0])
    stream.join(connection)
    stream.goLive(connection, at: stream.log.end)
    return connection
  }

  private func append(_ ids: ClosedRange<Int64>) {
    for id in ids { withMessage(id: id, "m\(id)") { stream.log.append($0) } }
  }

  private func bytes(of ids: ClosedRange<Int64>) -> [UInt8] {
    ids.flatMap { Array("id: \($0)\nevent: turbo-stream\ndata: m\($0)\n\n".utf8) }
  }
}
