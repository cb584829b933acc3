/// What an operator closes.
extension Instance {
  /// Closes what is meant; returns how many connections that is, or streams of those that carry several.
  package func closeCounted(_ target: CloseTarget) -> Int {
    let count: Int
    switch target {
    case .connection(let id): count = connection(id) == nil ? 0 : 1
    case .member(let member):
      count = connectionCount(ofMember: member)
    case .stream(let stream): count = connectionCount(of: stream)
    }
    if count > 0 { close(target, reason: "operator") }
    return count
  }

  /// As closing finds them: also those of which one stream alone is the member's.
  private func connectionCount(ofMember member: String) -> Int {
    let writer = parts.writer
    var found: Set<ConnectionID> = []
    for slot in 0..<writer.table.slotCount {
      guard let connection = writer.table.connection(slot), connection.pointee.phase != .closing,
        writer.context(of: connection)?.member?.utf8.elementsEqual(member.utf8) == true
      else { continue }
      found.insert(connection.pointee.id)
    }
    return found.count
  }
}
