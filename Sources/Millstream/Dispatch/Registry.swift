/// Which streams have subscribers, found by what the store calls them.
///
/// A stream stays for a moment after its last subscriber has left, so that a page that is loaded
/// anew finds its log; then it goes, and nothing is left of it.
final class Registry {
  private var byName: [ByteKey: Stream] = [:]
  private(set) var streams: [Stream] = []
  private var next = 0

  /// The stream of this store and name, if anybody is or was just subscribed to it.
  func stream(_ store: StoreKind, _ name: UnsafeRawBufferPointer) -> Stream? {
    byName[ByteKey(store, borrowing: name)]
  }

  func add(_ stream: Stream) {
    stream.registryIndex = streams.count
    streams.append(stream)
    byName[stream.key] = stream
  }

  func remove(_ stream: Stream) {
    byName[stream.key] = nil
    let last = streams.removeLast()
    if last !== stream {
      streams[stream.registryIndex] = last
      last.registryIndex = stream.registryIndex
    }
  }

  /// The next `count` streams in turn, so that repeated calls come by all of them.
  func nextStreams(_ count: Int) -> [Stream] {
    guard !streams.isEmpty else { return [] }
    return (0..<min(count, streams.count)).map { _ in
      next = next + 1 < streams.count ? next + 1 : 0
      return streams[next]
    }
  }
}

extension Stream {
  fileprivate var key: ByteKey {
    storageName.withUnsafeBytes { ByteKey(store, borrowing: $0) }.owned(storageName)
  }
}

/// A dictionary key that can be made of borrowed bytes, so that a look-up copies nothing.
private struct ByteKey: Hashable {
  private let store: StoreKind
  private let borrowed: UnsafeRawBufferPointer
  private let own: [UInt8]?

  init(_ store: StoreKind, borrowing bytes: UnsafeRawBufferPointer) {
    self.store = store
    borrowed = bytes
    own = nil
  }

  private init(_ store: StoreKind, own: [UInt8]) {
    self.store = store
    borrowed = UnsafeRawBufferPointer(start: nil, count: 0)
    self.own = own
  }

  /// The form that is kept.
  func owned(_ bytes: [UInt8]) -> ByteKey {
    ByteKey(store, own: bytes)
  }

  private func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    if let own { own.withUnsafeBytes(body) } else { body(borrowed) }
  }

  static func == (left: ByteKey, right: ByteKey) -> Bool {
    left.store == right.store
      && left.withBytes { bytes in right.withBytes { bytes.elementsEqual($0) } }
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(store)
    withBytes { hasher.combine(bytes: $0) }
  }
}
