/// What goes to one connection before anything else: bytes that nobody else gets, and the rest of a frame
/// that it has half of, which is read where it is unless it is small.
struct OwnBytes {
  /// The rest of a frame in its chunk, which it keeps from going.
  private struct FrameRest {
    let chunk: Chunk
    var range: Range<Int>
    /// How many of `bytes` go before it.
    var place: Int
  }

  /// Those that were not sent, behind `sentCount` that were.
  var bytes: [UInt8] = []
  private var sentCount = 0
  private var rest: FrameRest?

  /// No client may make us keep more than this for it alone.
  static let maximumCount = 256 * 1024

  var isEmpty: Bool { sentCount == bytes.count && rest == nil }

  /// Adds bytes behind those that wait; false if that would be too many.
  mutating func append(_ more: UnsafeRawBufferPointer) -> Bool {
    dropSent()
    guard bytes.count + more.count <= OwnBytes.maximumCount else { return false }
    bytes.append(contentsOf: more)
    return true
  }

  /// Adds the rest of a frame. There is one at most: the next frame is begun when all of this has gone.
  mutating func append(_ range: Range<Int>, of chunk: Chunk) {
    precondition(rest == nil, "in the middle of two frames")
    let bytes = UnsafeRawBufferPointer(start: chunk.base + range.lowerBound, count: range.count)
    // A small one is not worth the memory of all that is beside it.
    if range.count <= chunk.capacity / 8, append(bytes) { return }
    rest = FrameRest(chunk: chunk, range: range, place: self.bytes.count)
  }

  private mutating func dropSent() {
    guard sentCount > 0 else { return }
    bytes.removeFirst(sentCount)
    rest?.place -= sentCount
    sentCount = 0
  }

  /// What goes next in one piece; not to be asked for if there is nothing.
  func withNext<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    if let rest, rest.place == sentCount {
      return body(
        UnsafeRawBufferPointer(
          start: rest.chunk.base + rest.range.lowerBound, count: rest.range.count))
    }
    return bytes.withUnsafeBytes {
      body(UnsafeRawBufferPointer(rebasing: $0[sentCount..<(rest?.place ?? bytes.count)]))
    }
  }

  /// So many bytes of the next piece were sent. Returns the memory of all that were, with the last of them.
  @discardableResult
  mutating func removeFirst(_ count: Int) -> [UInt8]? {
    if let begun = rest, begun.place == sentCount {
      let range = begun.range.dropFirst(count)
      if range.isEmpty { rest = nil } else { rest?.range = range }
    } else {
      sentCount += count
    }
    guard isEmpty else { return nil }
    sentCount = 0
    return exchange(&bytes, with: [])
  }
}
