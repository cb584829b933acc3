import Testing

@testable import Millstream

@Suite struct CursorVectorTests {
  typealias Position = CursorVector.Position

  private static func key(_ name: String) -> CursorVector.Key { CursorVector.Key(name.utf8) }

  private static func encode(_ places: [(CursorVector.Key, Position)]) -> String {
    var bytes: [UInt8] = []
    var encoder = CursorVector.Encoder(&bytes)
    for (key, position) in places { encoder.append(key, position, to: &bytes) }
    encoder.finish(&bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func encode(_ places: (String, Int64, UInt32?)...) -> String {
    encode(places.map { (key($0.0), Position(id: $0.1, epoch: $0.2)) })
  }

  private static func word(_ bytes: [UInt8]) -> [UInt8] { Base64URL.encode(bytes) }

  /// What clients keep must be understood by the next version, too.
  @Test func staysWhatItIs() throws {
    #expect(CursorVectorTests.encode() == "AQ")
    #expect(CursorVectorTests.encode(("room:1", 4, nil)) == "AST3VC39CA")
    #expect(CursorVectorTests.encode(("room:1", 4, 0x5f3a_9c01)) == "AST3VC39CV86nAE")
    #expect(
      CursorVectorTests.encode(("room:1", 4, nil), ("q", 300, nil)) == "AST3VC39CEyGrWRQ2AQ")
  }

  @Test(arguments: [0, 1, 63, 64, 8191, 8192, 1 << 40, Int64.max - 1, Int64.max])
  func keepsEveryID(id: Int64) throws {
    for epoch in [nil, 0, 1, 0x7fff_ffff, UInt32.max] as [UInt32?] {
      let text = CursorVectorTests.encode(("a", id, epoch), ("b", 7, nil))
      let vector = try #require(CursorVector(text: text.utf8))
      #expect(vector[CursorVectorTests.key("a")] == Position(id: id, epoch: epoch))
      #expect(vector[CursorVectorTests.key("b")] == Position(id: 7, epoch: nil))
      #expect(vector[CursorVectorTests.key("c")] == nil)
    }
  }

  @Test func anySelectionInAnyOrder() throws {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<200 {
      let count = Int(random.next() % 257)
      let places = (0..<count).map { number in
        (
          CursorVectorTests.key("stream \(number)"),
          Position(
            id: Int64(random.next() >> (1 + random.next() % 62)),
            epoch: random.next() % 2 == 0 ? nil : UInt32(truncatingIfNeeded: random.next()))
        )
      }
      let vector = try #require(CursorVector(text: CursorVectorTests.encode(places).utf8))
      for (key, position) in places.shuffled(using: &random) { #expect(vector[key] == position) }
    }
  }

  /// As many streams as a connection can have, and as many patterns.
  @Test func hasABound() {
    let places = (0..<513).map {
      (CursorVectorTests.key("s\($0)"), Position(id: .max, epoch: .max))
    }
    #expect(CursorVector(text: CursorVectorTests.encode(Array(places.prefix(512))).utf8) != nil)
    #expect(CursorVector(text: CursorVectorTests.encode(places).utf8) == nil)
    #expect(CursorVectorTests.encode(Array(places.prefix(512))).utf8.count < 16 * 1024)
  }

  /// The same key over and over is no way around the bound.
  @Test func aKeyThatIsRepeatedCountsOnce() {
    let places = (0..<20_000).map {
      (CursorVectorTests.key("a"), Position(id: Int64($0), epoch: nil))
    }
    let vector = CursorVector(text: CursorVectorTests.encode(places).utf8)
    #expect(vector?[CursorVectorTests.key("a")] == Position(id: 19_999, epoch: nil))
  }

  @Test func refusesWhatItDoesNotMake() {
    let whole: [UInt8] = [1, 1, 2, 3, 4, 5, 0x81, 0x01]
    #expect(CursorVector(text: CursorVectorTests.word(whole + [])) == nil, "an epoch is missing")
    #expect(CursorVector(text: CursorVectorTests.word(whole + [0, 0, 0])) == nil, "a part of one")
    #expect(CursorVector(text: CursorVectorTests.word(whole + [0, 0, 0, 9])) != nil)
    #expect(CursorVector(text: CursorVectorTests.word([1, 1, 2, 3, 4])) == nil, "half a key")
    #expect(CursorVector(text: CursorVectorTests.word([1, 1, 2, 3, 4, 5])) == nil, "no id")
    #expect(
      CursorVector(text: CursorVectorTests.word([1, 1, 2, 3, 4, 5, 0x80])) == nil, "half an id")
    #expect(CursorVector(text: CursorVectorTests.word([2])) == nil, "another version")
    #expect(CursorVector(text: CursorVectorTests.word([])) == nil)
    for text in [
      "", " ", "AQ==", "AQ ", " AQ", "A", "AR", "AQ\n", "5", "-1", "0", "AQ.", "é", "AQ+", "AQ/",
    ] {
      #expect(CursorVector(text: text.utf8) == nil, "<\(text)>")
    }
  }

  /// 64 bits and no more.
  @Test func anIDThatIsTooLong() {
    let key: [UInt8] = [1, 1, 2, 3, 4, 5]
    let full = [UInt8](repeating: 0xff, count: 9)
    #expect(CursorVector(text: CursorVectorTests.word(key + full + [0x01, 0, 0, 0, 0])) != nil)
    #expect(CursorVector(text: CursorVectorTests.word(key + full + [0x02])) == nil)
    #expect(CursorVector(text: CursorVectorTests.word(key + full + [0x81, 0x00])) == nil)
    #expect(CursorVector(text: CursorVectorTests.word(key + full + full)) == nil)
  }

  /// Whatever it takes for a cursor can be said again, and any bytes are read without a fault.
  @Test func anyBytes() {
    var random = SeededGenerator(seed: 11)
    for _ in 0..<20_000 {
      let count = Int(random.next() % 40)
      var bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      if count > 0 && random.next() % 4 > 0 { bytes[0] = 1 }
      if let vector = CursorVector(text: CursorVectorTests.word(bytes)) {
        #expect(vector == vector)
      }
      _ = CursorVector(text: bytes)
    }
  }
}
