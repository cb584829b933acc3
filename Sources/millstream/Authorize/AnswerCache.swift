import CLibCrypto
import Millstream

/// Answers of the application for a short time, by the digest of what it was asked: who asks the same again
/// gets the same.
struct AnswerCache {
  /// SHA-256 of all fields: what clients sent is not kept.
  typealias Key = [UInt8]

  private struct Entry {
    var permission: Permission
    var endMs: Int64
  }

  private let timeMs: Int64
  private var entries: [Key: Entry] = [:]
  /// In the order of their ends, for all are kept for the same time.
  private var order: [Key] = []
  private var orderStart = 0
  static let maximumCount = 4096

  /// 0: nothing is kept.
  init(timeMs: Int64) {
    self.timeMs = timeMs
  }

  var count: Int { entries.count }

  /// Nil if nothing is kept.
  func key(of fields: [String]) -> Key? {
    guard timeMs > 0 else { return nil }
    let text = Array(fields.joined(separator: "\n").utf8)
    return [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      count = EVP_Digest(text, text.count, buffer.baseAddress, nil, EVP_sha256(), nil) == 1 ? 32 : 0
      precondition(count == 32, "libcrypto has no SHA-256")
    }
  }

  /// `unixSeconds`: a permission that has ended by then is not given again, or its client would be let in to be
  /// closed at once, again and again.
  func answer(to key: Key, nowMs: Int64, unixSeconds: Int64) -> Permission? {
    guard let entry = entries[key], entry.endMs > nowMs else { return nil }
    if case .allow(let context?) = entry.permission, let end = context.expiresAt, end <= unixSeconds
    {
      return nil
    }
    return entry.permission
  }

  mutating func keep(_ permission: Permission, for key: Key, nowMs: Int64) {
    dropOld(nowMs)
    // An older one of the same key has a place in the order already, which is the earlier.
    if entries.updateValue(Entry(permission: permission, endMs: nowMs + timeMs), forKey: key) == nil
    {
      order.append(key)
    }
  }

  private mutating func dropOld(_ nowMs: Int64) {
    while orderStart < order.count {
      let key = order[orderStart]
      let isOver = entries[key].map { $0.endMs <= nowMs } ?? true
      guard isOver || entries.count >= AnswerCache.maximumCount else { break }
      entries[key] = nil
      orderStart += 1
    }
    if orderStart > AnswerCache.maximumCount || orderStart == order.count {
      order.removeFirst(orderStart)
      orderStart = 0
    }
  }
}
