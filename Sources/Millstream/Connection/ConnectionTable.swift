import CLibEv

/// The slots of all connections of one loop, in slabs that never move.
///
/// Freed slots are used again, the lowest slabs first, so that after a storm the high slabs empty
/// and their memory goes back.
final class ConnectionTable {
  static let slabSize = 1024
  static let none = UInt32.max

  private struct Slab {
    var slots: ConnectionRef?
    var freeSlots: [UInt32] = []
    var usedCount = 0
  }

  private var slabs: [Slab] = []
  private(set) var count = 0
  private var ids = ConnectionIDMint()

  deinit {
    for slab in slabs { slab.slots?.deallocate() }
  }

  /// One past the highest slot number that can be in use.
  var slotCount: Int { slabs.count * ConnectionTable.slabSize }

  /// The connection in a slot; nil if the slot is free.
  func connection(_ slot: Int) -> ConnectionRef? {
    let slab = slot / ConnectionTable.slabSize
    guard slab < slabs.count, let slots = slabs[slab].slots else { return nil }
    let connection = slots + slot % ConnectionTable.slabSize
    return connection.pointee.phase == .free ? nil : connection
  }

  subscript(_ slot: UInt32) -> ConnectionRef {
    guard let connection = connection(Int(slot)) else {
      preconditionFailure("slot \(slot) is free")
    }
    return connection
  }

  /// The connection of this name, which the table has given it; nil if there is none (any more).
  func connection(named id: ConnectionID) -> ConnectionRef? {
    guard let connection = connection(ids.slot(of: id)), connection.pointee.id == id else {
      return nil
    }
    return connection
  }

  /// Takes a free slot; its fields are those of a connection that was just accepted. `id`: its name; nil:
  /// one that nobody can guess, with `seed` for its random part, if there is one.
  func allocate(id: ConnectionID? = nil, seed: UInt64? = nil) -> ConnectionRef {
    let index = slabs.firstIndex { !$0.freeSlots.isEmpty || $0.slots == nil } ?? addSlab()
    if slabs[index].slots == nil { fillSlab(index) }
    let slot = slabs[index].freeSlots.removeLast()
    slabs[index].usedCount += 1
    count += 1
    let connection = slabs[index].slots! + Int(slot)
    let number = UInt32(index * ConnectionTable.slabSize) + slot
    let name = id ?? ids.make(for: Int(number), seed: seed)
    connection.initialize(
      to: ConnectionTable.makeConnection(id: name, slot: number, phase: .opening))
    return connection
  }

  /// Gives a slot back. Nothing may point to it any more, libev least of all.
  func free(_ connection: ConnectionRef) {
    let slot = Int(connection.pointee.slot)
    let index = slot / ConnectionTable.slabSize
    connection.pointee.phase = .free
    slabs[index].freeSlots.append(UInt32(slot % ConnectionTable.slabSize))
    slabs[index].usedCount -= 1
    count -= 1
    if slabs[index].usedCount == 0 && count > 0 { releaseSlab(index) }
  }

  private func addSlab() -> Int {
    slabs.append(Slab())
    return slabs.count - 1
  }

  private func fillSlab(_ index: Int) {
    let slots = ConnectionRef.allocate(capacity: ConnectionTable.slabSize)
    let free = ConnectionTable.makeConnection(id: ConnectionID(value: 0), slot: 0, phase: .free)
    slots.initialize(repeating: free, count: ConnectionTable.slabSize)
    slabs[index].slots = slots
    slabs[index].freeSlots = (0..<UInt32(ConnectionTable.slabSize)).reversed()
  }

  private func releaseSlab(_ index: Int) {
    slabs[index].slots?.deallocate()
    slabs[index] = Slab()
    while let last = slabs.last, last.slots == nil { slabs.removeLast() }
  }

  private static func makeConnection(
    id: ConnectionID, slot: UInt32, phase: Connection.Phase
  ) -> Connection {
    Connection(
      watcher: ev_io(), stream: nil, position: 0, backlog: nil, id: id, memberIndex: none,
      slot: slot, previousBlocked: none, nextBlocked: none, lastDeliverySeconds: 0,
      lookedAtMs: 0, phase: phase, isBlocked: false, hasTurn: false,
      wasOpened: false, closeReason: .clientGone)
  }
}
