import Testing

@testable import Millstream

/// Random comings and goings against a model: a set, and who has had their turn in a pass.
@Suite struct MemberListTests {
  private let table = ConnectionTable()

  @Test(arguments: [UInt64](1...20))
  func nobodyIsPassedOverWhoeverLeaves(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var list = MemberList()
    var present: [ConnectionRef] = []
    var served: Set<ConnectionRef> = []
    var visited = 0
    for _ in 0..<600 {
      switch Int.random(in: 0..<5, using: &random) {
      case 0, 1:
        let connection = table.allocate(id: ConnectionID(value: 1))
        list.add(connection)
        present.append(connection)
      case 2 where !present.isEmpty, 3 where !present.isEmpty:
        let gone = present.remove(at: Int.random(in: 0..<present.count, using: &random))
        list.remove(gone, visited: &visited)
        served.remove(gone)
        #expect(gone.pointee.memberIndex == ConnectionTable.none)
        table.free(gone)
      default:
        guard visited < list.count else { continue }
        served.insert(list.members[visited])
        visited += 1
      }
      check(list, visited, present, served)
    }
  }

  private func check(
    _ list: MemberList, _ visited: Int, _ present: [ConnectionRef], _ served: Set<ConnectionRef>
  ) {
    #expect(Set(list.members) == Set(present) && list.count == present.count)
    #expect(Set(list.members[..<visited]) == served)
    let areInPlace = list.members.indices.allSatisfy {
      list.members[$0].pointee.memberIndex == UInt32($0)
    }
    #expect(areInPlace)
  }
}
