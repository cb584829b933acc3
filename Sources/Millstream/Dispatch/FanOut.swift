/// How far a pass over the live connections of a stream has come.
struct FanOutPass {
  /// Whether the stream is in the fan-out's queue.
  var isQueued = false
  /// The next member to be served; those before it have had their turn.
  var next = 0
  /// Frames came after members had their turn: another pass has to follow.
  var mustRepeat = false
  /// When the first frame came that this pass is for, and the first of those that the next one is for, in
  /// microseconds of the monotonic clock.
  var beganUs: Int64 = 0
  var repeatBeganUs: Int64 = 0
}

/// Sends what the logs hold to those who are live, in slices, one stream after the other, so that a
/// stream with very many subscribers does not delay one with few.
///
/// A stream whose pass has not begun goes before those whose pass goes on: most passes are over in one
/// slice, and those that are not are in for a long one anyway. Half of each slice is theirs, whatever
/// else comes.
final class FanOut {
  /// What happens to a stream when everyone has been served.
  var passEnded: (Stream) -> Void = { _ in }

  /// How many sends make one slice: some millisecond's worth. With half as many, a fan-out costs 3 %
  /// more of the processor.
  static let sliceSends = 128
  /// How many members at most are looked at in a slice, those included who have all there is.
  static let sliceMembers = 4 * 1024
  /// What a stream may send in its turn, however many others wait.
  static let smallestShare = 8

  private let writer: Writer
  @exclusivity(unchecked) private var fresh = Deque<Stream>()
  @exclusivity(unchecked) private var begun = Deque<Stream>()

  init(writer: Writer) {
    self.writer = writer
  }

  var hasMore: Bool { !fresh.isEmpty || !begun.isEmpty }

  /// The log of `stream` has grown.
  func enqueue(_ stream: Stream) {
    if stream.pass.isQueued {
      if stream.pass.next > 0 && !stream.pass.mustRepeat {
        stream.pass.repeatBeganUs = writer.clock.monotonicUs
      }
      stream.pass.mustRepeat = stream.pass.next > 0
      return
    }
    stream.pass = FanOutPass(isQueued: true, beganUs: writer.clock.monotonicUs)
    fresh.append(stream)
  }

  /// Does one slice for each stream that has something to send, within one budget for all.
  func runSlice() {
    let freshCount = fresh.count
    let begunCount = begun.count
    var budget = FanOut.sliceSends
    let kept = begunCount == 0 ? 0 : budget / 2
    runSlice(of: freshCount, budget: &budget, downTo: kept) { fresh.popFirst() }
    runSlice(of: begunCount, budget: &budget, downTo: 0) { begun.popFirst() }
  }

  private func runSlice(
    of count: Int, budget: inout Int, downTo kept: Int, _ next: () -> Stream?
  ) {
    let share = max((budget - kept) / max(count, 1), FanOut.smallestShare)
    for _ in 0..<count where budget > kept {
      guard let stream = next() else { return }
      budget -= serve(stream, sends: min(share, budget - kept))
      if stream.pass.next < stream.live.count || stream.pass.mustRepeat {
        continuePass(of: stream)
      } else {
        measure(stream)
        stream.pass = FanOutPass()
        passEnded(stream)
      }
    }
  }

  private func continuePass(of stream: Stream) {
    if stream.pass.next >= stream.live.count {
      measure(stream)
      let repeatBeganUs = stream.pass.repeatBeganUs
      stream.pass = FanOutPass(isQueued: true, beganUs: repeatBeganUs)
    }
    begun.append(stream)
  }

  /// All whose sockets have room have what the pass was for. One observation for all of them.
  private func measure(_ stream: Stream) {
    guard !stream.live.isEmpty, stream.pass.beganUs > 0 else { return }
    let us = writer.clock.monotonicUs - stream.pass.beganUs
    writer.statistics.broadcastToSocket.observe(us: us)
    stream.lastPassUs = us
  }

  /// Serves members from where the pass stands; returns how many sends that took.
  private func serve(_ stream: Stream, sends budget: Int) -> Int {
    // The array is kept, whatever happens to the list: one that was closed stays in it until the loop reaps.
    let members = stream.live.members
    let limit = min(members.count, stream.pass.next + FanOut.sliceMembers)
    let sends = members.withUnsafeBufferPointer { members in
      var turn = FanOutTurn(
        members: UnsafeBufferPointer(rebasing: members[..<limit]), next: stream.pass.next,
        budget: budget)
      let nowSeconds = UInt32(truncatingIfNeeded: writer.clock.monotonicMs / 1000)
      while let position = turn.nextPosition(before: stream.log.end) {
        let run = SharedRun(of: stream.log, at: position)
        writer.send(run, in: &turn, logEnd: stream.log.end, nowSeconds: nowSeconds)
      }
      stream.pass.next = turn.next
      return turn.sends
    }
    return sends
  }
}

/// The members that a slice looks at, and how far it has come.
struct FanOutTurn {
  let members: UnsafeBufferPointer<ConnectionRef>
  var next: Int
  let budget: Int
  var sends = 0

  /// Where the next member stands that is due something; nil at the end of the slice.
  mutating func nextPosition(before end: UInt64) -> UInt64? {
    guard sends < budget else { return nil }
    while next < members.count {
      let connection = members[next]
      if connection.pointee.canTake && connection.pointee.position != end {
        return connection.pointee.position
      }
      next += 1
    }
    return nil
  }
}

/// The bytes from one position to the end of its chunk, if all of them are for everyone: what most
/// of a stream's connections are due, worked out once for all of them.
struct SharedRun {
  let position: UInt64
  let base: UnsafeRawPointer
  /// None where frames have to be chosen for each connection.
  let count: Int

  init(of log: borrowing StreamLog, at position: UInt64) {
    let chunk = log.chunk(at: position)
    let offset = Int(position - chunk.start)
    self.position = position
    base = UnsafeRawPointer(chunk.base + offset)
    count = chunk.isForEveryone ? chunk.count - offset : 0
  }

  var end: UInt64 { position &+ UInt64(truncatingIfNeeded: count) }
}
