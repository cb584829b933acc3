/// A set of descriptors, a bit each.
struct DescriptorSet {
  private var words: [UInt64] = []

  func contains(_ descriptor: Int32) -> Bool {
    let word = Int(descriptor) / 64
    return word < words.count && words[word] & bit(descriptor) != 0
  }

  mutating func insert(_ descriptor: Int32) {
    let word = Int(descriptor) / 64
    while words.count <= word { words.append(0) }
    words[word] |= bit(descriptor)
  }

  mutating func remove(_ descriptor: Int32) {
    let word = Int(descriptor) / 64
    if word < words.count { words[word] &= ~bit(descriptor) }
  }

  private func bit(_ descriptor: Int32) -> UInt64 { 1 << UInt64(descriptor % 64) }
}
