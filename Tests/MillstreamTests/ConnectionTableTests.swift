import Testing

@testable import Millstream

@Suite struct ConnectionTableTests {
  private let table = ConnectionTable()

  @Test func slotIsSmallAndBeginsWithItsWatcher() {
    #expect(MemoryLayout<Connection>.stride <= 112)
    #expect(MemoryLayout<Connection>.offset(of: \.watcher) == 0)
  }

  @Test func slotsNeverMoveAndAreFoundByNumber() {
    let all = fill(3 * ConnectionTable.slabSize + 1)
    #expect(Set(all).count == all.count)
    #expect(Set(all.map(\.pointee.slot)).count == all.count)
    #expect(table.slotCount == 4 * ConnectionTable.slabSize)
    for (index, connection) in all.enumerated() {
      #expect(table[connection.pointee.slot] == connection)
      #expect(connection.pointee.id.value == UInt64(index))
    }
  }

  @Test func freedSlotIsUsedAgainAsNew() {
    let all = fill(10)
    all[4].pointee.isBlocked = true
    all[4].pointee.position = 99
    all[4].pointee.closeReason = .idle
    let slot = all[4].pointee.slot
    table.free(all[4])
    #expect(table.connection(Int(slot)) == nil)
    let next = table.allocate(id: ConnectionID(value: 77))
    #expect(next.pointee.slot == slot && next == all[4])
    #expect(next.pointee.phase == .opening && !next.pointee.isBlocked)
    #expect(next.pointee.position == 0 && next.pointee.closeReason == .clientGone)
    #expect(table.count == 10)
  }

  @Test func lowestSlabIsFilledFirst() {
    let all = fill(2 * ConnectionTable.slabSize)
    table.free(all[5])
    table.free(all[ConnectionTable.slabSize + 5])
    let next = table.allocate(id: ConnectionID(value: 1))
    #expect(next.pointee.slot < ConnectionTable.slabSize)
  }

  @Test func emptyHighSlabsGoBack() {
    let all = fill(3 * ConnectionTable.slabSize)
    for connection in all[ConnectionTable.slabSize...] { table.free(connection) }
    #expect(table.slotCount == ConnectionTable.slabSize)
    #expect(table.count == ConnectionTable.slabSize)
    #expect(table.connection(2 * ConnectionTable.slabSize) == nil)
    let next = table.allocate(id: ConnectionID(value: 1))
    #expect(Int(next.pointee.slot) >= ConnectionTable.slabSize)
  }

  @Test func emptySlabInTheMiddleIsFilledAgain() {
    let size = ConnectionTable.slabSize
    let all = fill(3 * size)
    for connection in all[size..<(2 * size)] { table.free(connection) }
    #expect(table.slotCount == 3 * size)
    #expect(table.connection(size + 3) == nil)
    let again = fill(size)
    #expect(again.allSatisfy { (size..<(2 * size)).contains(Int($0.pointee.slot)) })
    #expect(table.slotCount == 3 * size)
  }

  @Test(arguments: [UInt64](1...5)) func countsHoldForRandomUse(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var used: [ConnectionRef] = []
    for _ in 0..<20_000 {
      if used.isEmpty || Int.random(in: 0..<100, using: &random) < 55 {
        used.append(table.allocate(id: ConnectionID(value: 1)))
      } else {
        let index = Int.random(in: 0..<used.count, using: &random)
        used.swapAt(index, used.count - 1)
        table.free(used.removeLast())
      }
    }
    let found = (0..<table.slotCount).compactMap { table.connection($0) }
    #expect(table.count == used.count)
    #expect(Set(found) == Set(used) && found.count == used.count)
  }

  private func fill(_ count: Int) -> [ConnectionRef] {
    (0..<count).map { table.allocate(id: ConnectionID(value: UInt64($0))) }
  }
}
