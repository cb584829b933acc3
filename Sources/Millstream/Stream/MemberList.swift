/// Connections of one stream, in no order; each knows its index, so that leaving is one swap.
struct MemberList {
  private(set) var members: ContiguousArray<ConnectionRef> = []

  var count: Int { members.count }
  var isEmpty: Bool { members.isEmpty }

  mutating func add(_ connection: ConnectionRef) {
    connection.pointee.memberIndex = UInt32(members.count)
    members.append(connection)
  }

  /// Takes `connection` out. The members before `visited` have had their turn in a pass that is
  /// under way; `visited` is kept such that none of the others is passed over.
  mutating func remove(_ connection: ConnectionRef, visited: inout Int) {
    var hole = Int(connection.pointee.memberIndex)
    precondition(members[hole] == connection, "a member is where its index says")
    if hole < visited {
      visited -= 1
      move(from: visited, to: hole)
      hole = visited
    }
    move(from: members.count - 1, to: hole)
    members.removeLast()
    if members.isEmpty { members = [] }
    connection.pointee.memberIndex = ConnectionTable.none
  }

  private mutating func move(from source: Int, to target: Int) {
    // What stands at the end may have been moved already; its index is no longer this one.
    if source == target { return }
    members[target] = members[source]
    members[target].pointee.memberIndex = UInt32(target)
  }
}
