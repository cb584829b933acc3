/// Says whether a connection may see what carries a label. It may look at the connection
/// (``Instance/connection(_:)``), and must not call anything else of the instance.
public typealias AudiencePredicate = (_ label: String, _ connection: ConnectionID) -> Bool

/// Bytes of a chunk that are all due to a connection, or all not.
struct Run {
  var range: Range<Int>
  var isDue: Bool
}

extension Writer {
  /// The run that begins at `offset`: as far as the answer stays the same.
  func dueRun(in chunk: Chunk, from offset: Int, to connection: ConnectionRef) -> Run {
    let backlog = backlog(of: connection)
    let isFree = backlog == nil || connection.pointee.phase != .live
    if chunk.isForEveryone && isFree { return Run(range: offset..<chunk.count, isDue: true) }
    var index = chunk.index(at: offset)
    // A frame that was begun is finished: the client has half of it.
    let isBegun = chunk.entries[index].offset < offset
    let isDue = isBegun || self.isDue(chunk, index, to: connection, backlog)
    var end = chunk.frameEnd(index)
    index += 1
    while index < chunk.entries.count, self.isDue(chunk, index, to: connection, backlog) == isDue {
      end = chunk.frameEnd(index)
      index += 1
    }
    return Run(range: offset..<end, isDue: isDue)
  }

  private func isDue(
    _ chunk: Chunk, _ index: Int, to connection: ConnectionRef, _ backlog: Backlog?
  ) -> Bool {
    let entry = chunk.entries[index]
    if let backlog, connection.pointee.phase == .live {
      let position = chunk.start + UInt64(entry.offset)
      switch entry.kind {
      case .stored: if entry.id <= backlog.cursor { return false }
      case .ephemeral: if position < backlog.ephemeralsFrom { return false }
      case .late: if position < backlog.joinedAt { return false }
      }
    }
    guard entry.audience >= 0 else { return true }
    let audience = chunk.audiences[Int(entry.audience)]
    if audience.isNobody || audience.excluded == connection.pointee.id { return false }
    return audience.visibleTo.map { maySee($0, connection, backlog?.lane) } ?? true
  }

  private func maySee(_ label: String, _ connection: ConnectionRef, _ lane: Lane?) -> Bool {
    let id = connection.pointee.id
    if let audience { return audience(label, id) }
    let context = lane == nil ? contexts[id] : lane?.context
    return context?.mayRead(label) == true
  }
}
