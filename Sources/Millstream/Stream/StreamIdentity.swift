/// Which stream: its store, and the name that clients know it by.
public struct StreamIdentity: Hashable, Sendable {
  /// Where its messages are kept.
  public let store: StoreKind
  /// The name, of at most 512 bytes.
  public let name: String

  /// The stream of this store and name.
  public init(store: StoreKind, name: String) {
    self.store = store
    self.name = name
  }

  /// By the bytes of the name: to Swift two that look the same are one, to Postgres they are two.
  public static func == (left: StreamIdentity, right: StreamIdentity) -> Bool {
    left.store == right.store && left.name.utf8.elementsEqual(right.name.utf8)
  }

  /// As equality has it.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(store)
    for byte in name.utf8 { hasher.combine(byte) }
  }
}
