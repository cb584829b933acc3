import Millstream
import Testing

@testable import millstream

/// Answers of the application are kept for a time, and no more than so many.
@Suite struct AnswerCacheTests {
  @Test func keptForItsTimeOnly() throws {
    var cache = AnswerCache(timeMs: 100)
    let key = try #require(cache.key(of: ["a: 1", "b: 2"]))
    #expect(cache.answer(to: key, nowMs: 0, unixSeconds: 0) == nil)
    cache.keep(.forbid, for: key, nowMs: 0)
    #expect(cache.answer(to: key, nowMs: 99, unixSeconds: 0) != nil)
    #expect(cache.answer(to: key, nowMs: 100, unixSeconds: 0) == nil)
    cache.keep(.forbid, for: key, nowMs: 150)
    #expect(cache.answer(to: key, nowMs: 249, unixSeconds: 0) != nil)
  }

  @Test func notBeyondTheEndOfWhatItPermits() throws {
    var cache = AnswerCache(timeMs: 100_000)
    let key = try #require(cache.key(of: ["a: 1"]))
    cache.keep(.allow(ConnectionContext(expiresAt: 1_000)), for: key, nowMs: 0)
    #expect(cache.answer(to: key, nowMs: 0, unixSeconds: 999) != nil)
    #expect(cache.answer(to: key, nowMs: 0, unixSeconds: 1_000) == nil)
  }

  @Test func everyFieldCounts() {
    let cache = AnswerCache(timeMs: 100)
    #expect(cache.key(of: ["a: 1"])?.count == 32)
    #expect(cache.key(of: ["a: 1", "b: 2"]) != cache.key(of: ["a: 1", "b: 3"]))
    #expect(AnswerCache(timeMs: 0).key(of: ["a: 1"]) == nil)
  }

  @Test func itHasALimit() throws {
    var cache = AnswerCache(timeMs: 1_000_000)
    for number in 0..<20_000 {
      let key = try #require(cache.key(of: ["\(number % 9_000)"]))
      cache.keep(.allow(), for: key, nowMs: Int64(number))
      #expect(cache.count <= AnswerCache.maximumCount)
      #expect(cache.answer(to: key, nowMs: Int64(number), unixSeconds: 0) != nil)
    }
  }
}
