import Testing

@testable import Millstream

@Suite struct BlockedQueueTests {
  private let table = ConnectionTable()

  @Test(arguments: [UInt64](1...10))
  func orderIsThatOfBlocking(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var queue = BlockedQueue(table: table)
    let all = connections(12)
    var model: [ConnectionRef] = []
    for step in Int64(1)...400 {
      let connection = all.randomElement(using: &random)!
      queue.remove(connection)
      model.removeAll { $0 == connection }
      if Bool.random(using: &random) {
        queue.append(connection, Pace(nowMs: step, heldBytes: 0))
        model.append(connection)
      }
      #expect(listed(queue) == model)
      #expect(queue.first == model.first?.pointee.slot ?? ConnectionTable.none)
      #expect(all.allSatisfy { $0.pointee.isBlocked == model.contains($0) })
    }
  }

  @Test func intervalIsKeptToTheMillisecond() {
    var queue = BlockedQueue(table: table)
    let all = connections(3)
    for (index, connection) in all.enumerated() {
      queue.append(connection, Pace(nowMs: 1000 + Int64(index) * 10, heldBytes: 0))
    }
    #expect(queue.due(nowMs: 1099, intervalMs: 100).isEmpty)
    #expect(queue.due(nowMs: 1100, intervalMs: 100) == [all[0]])
    #expect(queue.due(nowMs: 1119, intervalMs: 100) == [all[0], all[1]])
    #expect(queue.due(nowMs: 1120, intervalMs: 100) == all)
    #expect(listed(queue) == all)
  }

  @Test(arguments: [0xffff_ffce, 0xffff_ffff, 0x1_ffff_ffff] as [Int64])
  func timeMayWrapWhileSomeoneWaits(start: Int64) {
    var queue = BlockedQueue(table: table)
    let all = connections(2)
    queue.append(all[0], Pace(nowMs: start, heldBytes: 0))
    queue.append(all[1], Pace(nowMs: start + 60, heldBytes: 0))
    #expect(queue.due(nowMs: start + 99, intervalMs: 100).isEmpty)
    #expect(queue.due(nowMs: start + 100, intervalMs: 100) == [all[0]])
    #expect(queue.due(nowMs: start + 160, intervalMs: 100) == all)
  }

  @Test func whoeverIsVisitedMayLeave() {
    var queue = BlockedQueue(table: table)
    let all = connections(5)
    for connection in all { queue.append(connection, Pace(nowMs: 1, heldBytes: 0)) }
    for connection in listed(queue) { queue.remove(connection) }
    #expect(queue.first == ConnectionTable.none)
    #expect(listed(queue).isEmpty)
  }

  private func connections(_ count: Int) -> [ConnectionRef] {
    (0..<count).map { _ in table.allocate(id: ConnectionID(value: 1)) }
  }

  private func listed(_ queue: BlockedQueue) -> [ConnectionRef] {
    var found: [ConnectionRef] = []
    queue.forEach { found.append($0) }
    return found
  }
}
