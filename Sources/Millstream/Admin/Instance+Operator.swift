/// What an operator closes.
extension Instance {
  /// Closes what is meant; returns how many connections that is, or streams of those that carry several.
  package func closeCounted(_ target: CloseTarget) -> Int {
    let count: Int
    switch target {
    case .connection(let id): count = connection(id) == nil ? 0 : 1
    case .member(let member):
      count = parts.writer.contexts.values.count {
        $0.member?.utf8.elementsEqual(member.utf8) == true
      }
    case .stream(let stream): count = connectionCount(of: stream)
    }
    if count > 0 { close(target, reason: "operator") }
    return count
  }
}
