/// What is notified to ask others whether they have connections of members, and what such a notification says.
enum PresenceQuestion {
  /// A notification has room for 7,999 bytes.
  private static let maximumBytes = 7_900

  /// The payloads that ask for all of these.
  static func payloads(_ keys: [PresenceKey]) -> [[UInt8]] {
    var payloads: [[UInt8]] = []
    var items: [UInt8] = []
    for key in keys {
      let item = item(key)
      if !items.isEmpty && items.count + item.count > maximumBytes {
        payloads.append(closed(items))
        items = []
      }
      if !items.isEmpty { items.append(UInt8(ascii: ",")) }
      items += item
    }
    return items.isEmpty ? payloads : payloads + [closed(items)]
  }

  private static func item(_ key: PresenceKey) -> [UInt8] {
    [Array(name(of: key.stream.store).utf8), key.stream.name, key.member]
      .map { JSONString.encode($0) }.joined(separator: [UInt8(ascii: ",")]).map { $0 }
  }

  private static func closed(_ items: [UInt8]) -> [UInt8] {
    [UInt8(ascii: "[")] + items + [UInt8(ascii: "]")]
  }

  private static func name(of store: StoreKind) -> String { store == .pgmq ? "pgmq" : "native" }

  /// What a payload asks for; nil: it is not one of these.
  static func keys(_ payload: UnsafeRawBufferPointer) -> [PresenceKey]? {
    guard let value = JSONScanner.value(of: payload), let texts = value.texts(atMost: maximumBytes),
      texts.count % 3 == 0
    else { return nil }
    return stride(from: 0, to: texts.count, by: 3).map { place in
      let store = texts[place].elementsEqual(name(of: .pgmq).utf8) ? StoreKind.pgmq : .native
      return PresenceKey(
        PresenceStream(store: store, name: texts[place + 1]), member: texts[place + 2])
    }
  }
}
