import Synchronization

/// The native streams that a loop has, for the hub to look at without asking: a bit for each, at a place
/// that its name gives. It may say yes where the answer is no.
///
/// The loop sets the bit before it asks the store where the stream is. So what the hub keeps back, as the
/// bit was not set, was committed before that question, and the answer tells of it; and nobody was told
/// yet that it is connected, who could miss what is stored nowhere.
final class StreamMarks: @unchecked Sendable {
  /// The place of a name (FNV-1a, folded).
  struct Mark {
    fileprivate let place: UInt16

    init(_ name: [UInt8]) {
      let hash = name.reduce(0x811c_9dc5 as UInt32) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
      place = UInt16(truncatingIfNeeded: hash >> 16 ^ hash)
    }
  }

  private static let wordCount = (Int(UInt16.max) + 1) / 64
  private let words = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: wordCount)
  private let all = Atomic(false)
  /// How many streams share a place; the loop's own.
  private var counts: [UInt16: Int] = [:]

  init() {
    for index in 0..<StreamMarks.wordCount { (words + index).initialize(to: Atomic(0)) }
  }

  deinit {
    words.deinitialize(count: StreamMarks.wordCount)
    words.deallocate()
  }

  /// Called on the loop's thread.
  func add(_ name: [UInt8]) {
    let place = Mark(name).place
    counts[place, default: 0] += 1
    words[Int(place) / 64].bitwiseOr(bit(place), ordering: .sequentiallyConsistent)
  }

  /// Called on the loop's thread.
  func remove(_ name: [UInt8]) {
    let place = Mark(name).place
    guard let count = counts[place] else { return }
    counts[place] = count > 1 ? count - 1 : nil
    if count == 1 {
      words[Int(place) / 64].bitwiseAnd(~bit(place), ordering: .sequentiallyConsistent)
    }
  }

  /// Whether any stream may be the loop's. Set on the loop's thread.
  var holdsAll: Bool {
    get { all.load(ordering: .sequentiallyConsistent) }
    set { all.store(newValue, ordering: .sequentiallyConsistent) }
  }

  /// Called on the hub's thread.
  func mayHold(_ mark: Mark) -> Bool {
    holdsAll
      || words[Int(mark.place) / 64].load(ordering: .sequentiallyConsistent) & bit(mark.place) != 0
  }

  private func bit(_ place: UInt16) -> UInt64 { 1 << UInt64(place % 64) }
}
