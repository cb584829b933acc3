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
}
