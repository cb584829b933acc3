import Testing

@testable import Millstream

@Suite struct ConnectionNamesTests {
  @Test func aNameLeadsToItsConnection() {
    let table = ConnectionTable()
    let connections = (0..<3000).map { _ in table.allocate() }
    #expect(Set(connections.map(\.pointee.id)).count == 3000)
    for connection in connections {
      #expect(table.connection(named: connection.pointee.id) == connection)
    }
  }

  @Test func aNameOfBeforeLeadsNowhere() {
    let table = ConnectionTable()
    let first = table.allocate()
    let name = first.pointee.id
    table.free(first)
    #expect(table.connection(named: name) == nil)
    let second = table.allocate()
    #expect(second.pointee.slot == 0, "the slot is used again")
    #expect(table.connection(named: name) == nil)
    #expect(table.connection(named: second.pointee.id) == second)
  }

  @Test func whatNobodyWasGivenLeadsNowhere() {
    let table = ConnectionTable()
    let connection = table.allocate()
    for bit in 0..<64 {
      let other = ConnectionID(value: connection.pointee.id.value ^ 1 << UInt64(bit))
      #expect(table.connection(named: other) == nil)
    }
  }

  @Test func descriptorsAreASet() {
    var descriptors = DescriptorSet()
    for descriptor: Int32 in [0, 63, 64, 20_000] { descriptors.insert(descriptor) }
    descriptors.remove(64)
    descriptors.remove(1_000_000)
    #expect((0...20_001).filter { descriptors.contains(Int32($0)) } == [0, 63, 20_000])
  }
}
