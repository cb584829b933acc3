/// How far a pass over the live connections of a stream has come.
struct FanOutPass {
  /// Whether the stream is in the fan-out's queue.
  var isQueued = false
  /// The next member to be served; those before it have had their turn.
  var next = 0
  /// Frames came after members had their turn: another pass has to follow.
  var mustRepeat = false
}

/// Sends what the logs hold to those who are live, in slices, one stream after the other, so that a
/// stream with very many subscribers does not delay one with few.
final class FanOut {
  /// What happens to a stream when everyone has been served.
  var passEnded: (Stream) -> Void = { _ in }

  /// How many sends make one slice: some two milliseconds' worth.
  static let sliceSends = 256
  /// How many members at most are looked at in a slice, those included who have all there is.
  static let sliceMembers = 16 * 1024

  private let writer: Writer
  private var queue: [Stream] = []
  /// Where the queue begins: those before have been served.
  private var head = 0

  init(writer: Writer) {
    self.writer = writer
  }

  var hasMore: Bool { head < queue.count }

  /// The log of `stream` has grown.
  func enqueue(_ stream: Stream) {
    if stream.pass.isQueued {
      stream.pass.mustRepeat = stream.pass.next > 0
      return
    }
    stream.pass = FanOutPass(isQueued: true)
    queue.append(stream)
  }

  /// Does one slice for each stream that has something to send, within one budget for all.
  func runSlice() {
    var budget = FanOut.sliceSends
    let end = queue.count
    let share = max(FanOut.sliceSends / max(end - head, 1), 16)
    while head < end && budget > 0 {
      let stream = queue[head]
      head += 1
      budget -= serve(stream, sends: min(share, budget))
      if stream.pass.next < stream.live.count || stream.pass.mustRepeat {
        continuePass(of: stream)
      } else {
        stream.pass = FanOutPass()
        passEnded(stream)
      }
    }
    dropServed()
  }

  private func dropServed() {
    guard head == queue.count || head >= 1024 else { return }
    queue.removeFirst(head)
    head = 0
  }

  private func continuePass(of stream: Stream) {
    if stream.pass.next >= stream.live.count {
      stream.pass = FanOutPass(isQueued: true)
    }
    queue.append(stream)
  }

  /// Serves members from where the pass stands; returns how many sends that took.
  private func serve(_ stream: Stream, sends budget: Int) -> Int {
    let end = stream.log.end
    let nowMs = writer.clock.monotonicMs
    var sends = 0
    var shared = SharedRun(position: end, bytes: UnsafeRawBufferPointer(start: nil, count: 0))
    let members = stream.live.members
    var next = stream.pass.next
    let limit = min(members.count, next + FanOut.sliceMembers)
    while next < limit && sends < budget {
      let connection = members[next]
      next += 1
      // One that was closed stays in the list until the loop reaps.
      guard connection.pointee.phase == .live, connection.pointee.position != end,
        !connection.pointee.isBlocked
      else { continue }
      sends += 1
      if connection.pointee.position != shared.position {
        shared = SharedRun(of: stream.log, at: connection.pointee.position)
      }
      writer.send(shared, to: connection, logEnd: end, nowMs: nowMs)
    }
    stream.pass.next = next
    return sends
  }
}

/// The bytes from one position to the end of its chunk, if all of them are for everyone: what most
/// of a stream's connections are due, worked out once for all of them.
struct SharedRun {
  let position: UInt64
  /// Empty where frames have to be chosen for each connection.
  let bytes: UnsafeRawBufferPointer

  init(position: UInt64, bytes: UnsafeRawBufferPointer) {
    self.position = position
    self.bytes = bytes
  }

  init(of log: borrowing StreamLog, at position: UInt64) {
    let chunk = log.chunk(at: position)
    let offset = Int(position - chunk.start)
    self.position = position
    bytes = UnsafeRawBufferPointer(
      start: chunk.base + offset, count: chunk.isForEveryone ? chunk.count - offset : 0)
  }
}
