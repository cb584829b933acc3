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
        queue.append(connection, nowMs: step)
        model.append(connection)
      }
      #expect(listed(queue) == model)
      #expect(queue.first == model.first?.pointee.slot ?? ConnectionTable.none)
      #expect(all.allSatisfy { $0.pointee.isBlocked == model.contains($0) })
    }
  }

  @Test func deadlineIsReachedToTheMillisecond() {
    var queue = BlockedQueue(table: table)
    let all = connections(3)
    for (index, connection) in all.enumerated() {
      queue.append(connection, nowMs: 1000 + Int64(index) * 10)
    }
    #expect(queue.overdue(nowMs: 1099, deadlineMs: 100).isEmpty)
    #expect(queue.overdue(nowMs: 1100, deadlineMs: 100) == [all[0]])
    #expect(queue.overdue(nowMs: 1119, deadlineMs: 100) == [all[0], all[1]])
    #expect(queue.overdue(nowMs: 1120, deadlineMs: 100) == all)
    #expect(listed(queue) == all)
  }

  @Test(arguments: [0xffff_ffce, 0xffff_ffff, 0x1_ffff_ffff] as [Int64])
  func timeMayWrapWhileSomeoneWaits(start: Int64) {
    var queue = BlockedQueue(table: table)
    let all = connections(2)
    queue.append(all[0], nowMs: start)
    queue.append(all[1], nowMs: start + 60)
    #expect(queue.overdue(nowMs: start + 99, deadlineMs: 100).isEmpty)
    #expect(queue.overdue(nowMs: start + 100, deadlineMs: 100) == [all[0]])
    #expect(queue.overdue(nowMs: start + 160, deadlineMs: 100) == all)
  }

  @Test func whoeverIsVisitedMayLeave() {
    var queue = BlockedQueue(table: table)
    let all = connections(5)
    for connection in all { queue.append(connection, nowMs: 1) }
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
