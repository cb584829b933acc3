/// A pattern for stream names: `*` stands for any run of bytes, also none; every other byte stands
/// for itself.
struct StreamPattern {
  /// What stands before, between and behind the stars: one piece if there is no star.
  private let pieces: [Piece]

  init(_ pattern: String) {
    pieces = pattern.utf8
      .split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false)
      .map { Piece(Array($0)) }
  }

  /// Nothing fits but this name.
  var isLiteral: Bool { pieces.count == 1 }

  /// Whether the whole name fits, in time linear in its length and the pattern's.
  ///
  /// Taking each piece where it first occurs is right: that leaves the most for those behind it.
  func matches(_ name: some Collection<UInt8>) -> Bool {
    let name = Array(name)
    guard let first = pieces.first, let last = pieces.last, pieces.count > 1 else {
      return name == pieces.first?.bytes
    }
    guard name.count >= first.bytes.count + last.bytes.count, name.starts(with: first.bytes),
      name.suffix(last.bytes.count).elementsEqual(last.bytes)
    else { return false }
    var rest = name[first.bytes.count..<(name.count - last.bytes.count)]
    for piece in pieces[1..<(pieces.count - 1)] {
      guard let end = piece.firstEnd(in: rest) else { return false }
      rest = rest[end...]
    }
    return true
  }

  /// A run of bytes that is looked for without ever going back in the name (Knuth, Morris, Pratt).
  private struct Piece {
    let bytes: [UInt8]
    /// At each place: how long a beginning of the piece ends there, the whole of it left out.
    private let borders: [Int]

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
      var borders = [Int](repeating: 0, count: bytes.count)
      for place in bytes.indices.dropFirst() {
        borders[place] = Piece.advance(borders[place - 1], with: bytes[place], bytes, borders)
      }
      self.borders = borders
    }

    /// Where the first occurrence ends.
    func firstEnd(in name: ArraySlice<UInt8>) -> Int? {
      if bytes.isEmpty { return name.startIndex }
      var matched = 0
      for place in name.indices {
        matched = Piece.advance(matched, with: name[place], bytes, borders)
        if matched == bytes.count { return place + 1 }
      }
      return nil
    }

    /// How much of the piece has been matched once `byte` has come after `matched` bytes of it.
    private static func advance(
      _ matched: Int, with byte: UInt8, _ bytes: [UInt8], _ borders: [Int]
    ) -> Int {
      var matched = matched
      while matched > 0 && bytes[matched] != byte { matched = borders[matched - 1] }
      return bytes[matched] == byte ? matched + 1 : matched
    }
  }
}
