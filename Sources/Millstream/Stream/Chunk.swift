/// Some frames of one stream, one behind the other, with an index of them.
///
/// A chunk belongs to a stream's log, or is a page that was read for clients that are behind. Bytes
/// that were appended never change and never move, so that any number of connections read them.
final class Chunk {
  /// One frame of the index.
  struct Entry {
    /// The message's id; of an ephemeral frame, that of the stored one before it.
    var id: Int64
    /// Where it begins, from the chunk's first byte.
    var offset: Int
    /// Its number in `audiences`; negative: for everyone.
    var audience: Int32
    var kind: Kind
  }

  /// Whom a frame is for, as far as that depends on when they came.
  enum Kind: UInt8 {
    /// For everyone who has not had its id.
    case stored
    /// For those who were connected when it came.
    case ephemeral
    /// For those who were in the log when it came: others find it where it belongs, in the store.
    case late
  }

  /// The position of the first byte in the stream's log.
  let start: UInt64
  let capacity: Int
  let base: UnsafeMutableRawPointer

  /// How many bytes are in use.
  @exclusivity(unchecked) private(set) var count = 0
  @exclusivity(unchecked) private(set) var entries: [Entry] = []
  @exclusivity(unchecked) private(set) var audiences: [Audience] = []

  init(start: UInt64, capacity: Int) {
    self.start = start
    self.capacity = capacity
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit {
    base.deallocate()
  }

  /// The position behind the last byte.
  var end: UInt64 { start + UInt64(count) }

  /// Whether every frame is for everyone who was connected.
  var isForEveryone: Bool { audiences.isEmpty }

  /// Appends the frame of `message`; false, with nothing changed, if there is no room for it.
  func append(
    _ message: Message, afterID: Int64, epoch: UInt32?, isLate: Bool = false
  ) -> Bool {
    let byteCount = Chunk.frameBytes(of: message, epoch: epoch)
    guard byteCount <= capacity - count else { return false }
    var writer = FrameWriter(to: base + count)
    writer.broadcast(message, epoch: epoch)
    entries.append(
      Entry(
        id: message.id ?? afterID, offset: count, audience: addAudience(of: message),
        kind: message.id != nil ? .stored : isLate ? .late : .ephemeral))
    count += byteCount
    return true
  }

  /// Appends a frame that is no message; whoever has had it has had all up to `throughID`.
  func append(_ frame: [UInt8], throughID: Int64, _ kind: Kind) -> Bool {
    guard frame.count <= capacity - count else { return false }
    frame.withUnsafeBytes { (base + count).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    entries.append(Entry(id: throughID, offset: count, audience: -1, kind: kind))
    count += frame.count
    return true
  }

  private func addAudience(of message: Message) -> Int32 {
    guard let audience = Audience(of: message) else { return -1 }
    if audiences.last != audience { audiences.append(audience) }
    return Int32(audiences.count - 1)
  }

  static func frameBytes(of message: Message, epoch: UInt32?) -> Int {
    var counter = FrameWriter(to: nil)
    counter.broadcast(message, epoch: epoch)
    return counter.count
  }

  /// Where the first frame begins whose id is above `id`; `count` if there is none.
  func offset(afterID id: Int64) -> Int {
    let index = firstIndex { $0.id > id }
    return index < entries.count ? entries[index].offset : count
  }

  /// Whether there is a frame with an id up to this one.
  func hasID(upTo id: Int64) -> Bool {
    entries.first.map { $0.id <= id } ?? false
  }

  /// The first id above `id`; nil if there is none.
  func firstID(after id: Int64) -> Int64? {
    let index = firstIndex { $0.id > id }
    return index < entries.count ? entries[index].id : nil
  }

  /// The index of the frame that the byte at `offset` belongs to.
  func index(at offset: Int) -> Int {
    firstIndex { $0.offset > offset } - 1
  }

  /// Where the frame with this index ends.
  func frameEnd(_ index: Int) -> Int {
    index + 1 < entries.count ? entries[index + 1].offset : count
  }

  /// The entries are in order of id and offset: a binary search for the first that is past it.
  private func firstIndex(where isPast: (Entry) -> Bool) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if isPast(entries[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
