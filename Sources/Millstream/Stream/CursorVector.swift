/// Where a client stands in each of the streams of its connection, as one opaque word: what an `id:` says
/// on a connection that carries several.
///
/// A version byte, then for each stream its key, its id doubled (plus 1 where an epoch of four bytes
/// follows) in groups of seven bits, the lowest first; all in base64 for URLs. Streams are found by their
/// keys, so that the word is right for any selection of them, in any order. A pattern that is followed has a
/// key, too, with the id 0.
struct CursorVector: Equatable {
  /// Stands for a stream's name: 40 bits of its FNV-1a hash. Among 256 names two have the same one in
  /// one of thirty million connections; the second of those is refused.
  struct Key: Hashable {
    fileprivate let value: UInt64

    init(_ name: some Sequence<UInt8>) {
      let hash = name.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
        ($0 ^ UInt64($1)) &* 0x0100_0000_01b3
      }
      value = (hash >> 40 ^ hash) & Key.mask
    }

    fileprivate init(value: UInt64) {
      self.value = value
    }

    fileprivate static let byteCount = 5
    private static let mask: UInt64 = 1 << 40 - 1
  }

  /// The client has everything of a stream up to `id`; `epoch`: of which stream of the name.
  struct Position: Equatable {
    var id: Int64
    var epoch: UInt32?

    /// As the `id:` of a frame says it.
    var text: String {
      epoch.map { "\(id)-" + String($0, radix: 16) } ?? "\(id)"
    }
  }

  /// Nobody follows more streams than that on one connection.
  static let maximumStreams = 256
  private static let version: UInt8 = 1

  private var positions: [Key: Position] = [:]

  /// Where the client stands in a stream; nil: the word does not say.
  subscript(_ key: Key) -> Position? { positions[key] }

  /// Reads the word; nil: it is none that `Writer` makes.
  init?(text: some Collection<UInt8>) {
    guard let bytes = Base64URL.decode(text), bytes.first == CursorVector.version else {
      return nil
    }
    var rest = bytes.dropFirst()
    while !rest.isEmpty {
      // As many streams, and patterns that they fit.
      guard positions.count < 2 * CursorVector.maximumStreams,
        let key = CursorVector.takeInteger(CursorVector.Key.byteCount, from: &rest),
        let position = CursorVector.takePosition(from: &rest)
      else { return nil }
      positions[Key(value: key)] = position
    }
  }

  private static func takeInteger(_ byteCount: Int, from rest: inout ArraySlice<UInt8>) -> UInt64? {
    guard rest.count >= byteCount else { return nil }
    let value = rest.prefix(byteCount).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    rest.removeFirst(byteCount)
    return value
  }

  private static func takePosition(from rest: inout ArraySlice<UInt8>) -> Position? {
    var value: UInt64 = 0
    for shift in stride(from: 0 as UInt64, through: 63, by: 7) {
      guard let byte = rest.popFirst(), shift < 63 || byte < 2 else { return nil }
      value |= UInt64(byte & 0x7f) << shift
      guard byte < 0x80 else { continue }
      guard value & 1 == 1 else { return Position(id: Int64(value >> 1), epoch: nil) }
      guard let epoch = takeInteger(4, from: &rest) else { return nil }
      return Position(id: Int64(value >> 1), epoch: UInt32(epoch))
    }
    return nil
  }

  /// Appends the word to bytes, one stream after the other, without anything in between.
  struct Encoder {
    private var bits: UInt32 = 0
    private var bitCount: UInt32 = 0

    /// Begins a word at the end of `bytes`.
    init(_ bytes: inout [UInt8]) {
      append(CursorVector.version, to: &bytes)
    }

    mutating func append(_ key: Key, _ position: Position, to bytes: inout [UInt8]) {
      appendInteger(key.value, Key.byteCount, to: &bytes)
      var value = UInt64(position.id) << 1 | (position.epoch == nil ? 0 : 1)
      while value >= 0x80 {
        append(UInt8(value & 0x7f | 0x80), to: &bytes)
        value >>= 7
      }
      append(UInt8(value), to: &bytes)
      if let epoch = position.epoch { appendInteger(UInt64(epoch), 4, to: &bytes) }
    }

    private mutating func appendInteger(_ value: UInt64, _ byteCount: Int, to bytes: inout [UInt8])
    {
      for place in (0..<byteCount).reversed() {
        append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(place))), to: &bytes)
      }
    }

    private mutating func append(_ byte: UInt8, to bytes: inout [UInt8]) {
      bits = bits << 8 | UInt32(byte)
      bitCount += 8
      while bitCount >= 6 {
        bitCount -= 6
        bytes.append(Base64URL.digit(UInt8(truncatingIfNeeded: bits >> bitCount) & 0x3f))
      }
    }

    /// The word ends here.
    mutating func finish(_ bytes: inout [UInt8]) {
      if bitCount > 0 {
        bytes.append(
          Base64URL.digit(UInt8(truncatingIfNeeded: bits << (6 - bitCount)) & 0x3f))
      }
      bitCount = 0
    }
  }
}
