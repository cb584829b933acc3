/// Makes names of connections that lead to their slots, so that no table of names is needed.
///
/// 40 bits are random, so that no client can name another's connection; the other 24 are the slot,
/// covered with what only this table can work out of them.
struct ConnectionIDMint {
  private let key = UInt64.random(in: 1...UInt64.max) | 1
  private static let slotBits: UInt64 = 24
  private static let slotMask: UInt64 = 1 << slotBits - 1

  /// A name for a connection in this slot.
  func make(for slot: Int) -> ConnectionID {
    precondition(slot <= Int(ConnectionIDMint.slotMask), "there are not so many descriptors")
    let random = UInt64.random(in: 1..<(1 << (64 - ConnectionIDMint.slotBits)))
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
