import Testing

@testable import Millstream

@Suite struct OwnBytesTests {
  private let chunk = Chunk(start: 0, capacity: 16)
  private var own = OwnBytes()

  init() {
    #expect(chunk.append(Array("0123456789".utf8), throughID: 1, .stored))
  }

  private mutating func append(_ text: String) -> Bool {
    Array(text.utf8).withUnsafeBytes { own.append($0) }
  }

  /// What is sent until nothing is left, with a socket that takes `share` bytes at a time.
  private mutating func sent(share: Int) -> String {
    var taken: [UInt8] = []
    while !own.isEmpty {
      let piece = own.withNext { Array($0.prefix(share)) }
      #expect(!piece.isEmpty)
      taken += piece
      own.removeFirst(piece.count)
    }
    return String(decoding: taken, as: UTF8.self)
  }

  @Test(arguments: 1...20) mutating func goInTheirOrder(share: Int) {
    #expect(append("before,"))
    own.append(4..<10, of: chunk)
    #expect(append(",behind"))
    #expect(sent(share: share) == "before,456789,behind")
  }

  /// What comes meanwhile moves what waits to the front.
  @Test(arguments: 1...19) mutating func goInTheirOrderWhateverHasGone(count: Int) {
    #expect(append("before,"))
    own.append(4..<10, of: chunk)
    #expect(append(",behind"))
    var gone = ""
    while gone.utf8.count < count {
      let piece = own.withNext { Array($0.prefix(count - gone.utf8.count)) }
      gone += String(decoding: piece, as: UTF8.self)
      own.removeFirst(piece.count)
    }
    #expect(append(",last"))
    #expect(gone + sent(share: 3) == "before,456789,behind,last")
  }

  /// A large rest keeps its chunk until it has gone, a small one does not.
  @Test(arguments: [(2, true), (4, false)]) mutating func restKeepsItsChunk(
    begin: Int, isKept: Bool
  ) {
    weak var kept: Chunk?
    do {
      let chunk = Chunk(start: 0, capacity: 16)
      #expect(chunk.append(Array("frames".utf8), throughID: 1, .stored))
      own.append(begin..<6, of: chunk)
      kept = chunk
    }
    #expect((kept != nil) == isKept)
    #expect(sent(share: 8) == "frames".dropFirst(begin))
    #expect(kept == nil)
  }

  /// The rest of a frame is nobody's alone: it does not count.
  @Test mutating func areBounded() {
    own.append(0..<10, of: chunk)
    #expect(append(String(repeating: "x", count: OwnBytes.maximumCount)))
    #expect(!append("y"))
    own.removeFirst(own.withNext { $0.count })
    #expect(!append("y"))
    own.removeFirst(1)
    #expect(append("y"))
  }
}
