/// Makes names of connections that lead to their slots, so that no table of names is needed.
///
/// 40 bits are random, so that no client can name another's connection; the other 24 are the slot,
/// covered with what only this table can work out of them.
struct ConnectionIDMint {
  private let key = UInt64.random(in: 1...UInt64.max) | 1
  private static let slotBits: UInt64 = 24
  private static let slotMask: UInt64 = 1 << slotBits - 1

  /// The random part of a name.
  static func makeSeed() -> UInt64 { UInt64.random(in: 1..<(1 << (64 - slotBits))) }

  /// The random part of this name.
  static func seed(of id: ConnectionID) -> UInt64 { id.value >> slotBits }

  /// The 10 hexadecimal digits with which the name begins.
  static func text(ofSeed seed: UInt64) -> String {
    String(
      decoding: Hexadecimal.digits(of: seed, count: Int(64 - slotBits) / 4), as: UTF8.self)
  }

  /// A name for a connection in this slot. `seed`: its random part; nil: a new one.
  func make(for slot: Int, seed: UInt64? = nil) -> ConnectionID {
    precondition(slot <= Int(ConnectionIDMint.slotMask), "there are not so many descriptors")
    let random = seed ?? ConnectionIDMint.makeSeed()
    return ConnectionID(value: random << ConnectionIDMint.slotBits | UInt64(slot) ^ cover(random))
  }

  /// The slot that a connection of this name is in, if there is one.
  func slot(of id: ConnectionID) -> Int {
    Int((id.value ^ cover(id.value >> ConnectionIDMint.slotBits)) & ConnectionIDMint.slotMask)
  }

  private func cover(_ random: UInt64) -> UInt64 {
    (random &* key) >> (64 - ConnectionIDMint.slotBits)
  }
}
