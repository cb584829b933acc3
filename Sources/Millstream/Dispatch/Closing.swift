/// Closes the connections that somebody wants closed, each with a word, in slices: there may be very many, and
/// the one who asks may be in the middle of a callback.
///
/// A member, or a stream, is found by a walk over the table. What is asked for while one is under way is for
/// the next, so that it is one walk for all of it, and nobody is passed over.
final class Closing {
  /// What one whose socket is full has, to take the frame that it is in the middle of and this last one.
  static let patienceMs: Int64 = 5_000

  /// Each with the frame that says why.
  private struct Wanted {
    /// By the bytes of the name: two that look the same are two.
    var members: [[UInt8]: [UInt8]] = [:]
    var streams: [ObjectIdentifier: (stream: Stream, frame: [UInt8])] = [:]

    var isEmpty: Bool { members.isEmpty && streams.isEmpty }
  }

  /// What answers that are on their way may not know of.
  var recent = RecentCloses()

  private let writer: Writer
  private var connections = Deque<(id: ConnectionID, frame: [UInt8])>()
  private var asked = Wanted()
  private var walked = Wanted()
  private var nextSlot = 0
  private static let sliceSlots = 1024
  private static let sliceEnds = 128

  init(writer: Writer) {
    self.writer = writer
  }

  var hasMore: Bool { !connections.isEmpty || !walked.isEmpty || !asked.isEmpty }

  /// One connection, and with it all that it carries.
  func add(_ id: ConnectionID, reason: String?) {
    connections.append((id, ControlFrames.closed(reason: reason)))
  }

  /// All connections of a member.
  func add(member: String, reason: String?) {
    if writer.contexts.isEmpty { return }
    asked.members[Array(member.utf8)] = ControlFrames.closed(reason: reason)
  }

  /// All connections of a stream; where one carries others, too, its stream alone.
  func add(_ stream: Stream, reason: String?) {
    asked.streams[ObjectIdentifier(stream)] = (stream, ControlFrames.closed(reason: reason))
  }

  /// Closes a slice of them.
  func runSlice() {
    var ends = 0
    while ends < Closing.sliceEnds, let (id, frame) = connections.popFirst() {
      ends += 1
      if let connection = writer.table.connection(named: id) { dismiss(connection, frame) }
    }
    if walked.isEmpty {
      swap(&walked, &asked)
      nextSlot = 0
    }
    if !walked.isEmpty { walk(atMost: Closing.sliceEnds - ends) }
  }

  private func walk(atMost limit: Int) {
    let slotCount = writer.table.slotCount
    let lastSlot = min(nextSlot + Closing.sliceSlots, slotCount)
    var ends = 0
    while nextSlot < lastSlot && ends < limit {
      if let connection = writer.table.connection(nextSlot), close(connection) { ends += 1 }
      nextSlot += 1
    }
    if nextSlot >= slotCount { walked = Wanted() }
  }

  /// Says whether it was meant.
  private func close(_ connection: ConnectionRef) -> Bool {
    if connection.pointee.phase == .closing { return false }
    let lane = writer.backlog(of: connection)?.lane
    if let frame = frameForMember(of: connection) {
      dismiss(lane?.carrier.connection ?? connection, frame)
      return true
    }
    guard !walked.streams.isEmpty, let stream = connection.pointee.stream?.takeUnretainedValue(),
      let (_, frame) = walked.streams[ObjectIdentifier(stream)]
    else { return false }
    if let lane {
      writer.dismiss(lane, frame, .requested, withinMs: Closing.patienceMs)
    } else {
      dismiss(connection, frame)
    }
    return true
  }

  private func frameForMember(of connection: ConnectionRef) -> [UInt8]? {
    if walked.members.isEmpty { return nil }
    return writer.context(of: connection)?.member.flatMap { walked.members[Array($0.utf8)] }
  }

  private func dismiss(_ connection: ConnectionRef, _ frame: [UInt8]) {
    writer.dismiss(connection, frame, .requested, withinMs: Closing.patienceMs)
  }
}
