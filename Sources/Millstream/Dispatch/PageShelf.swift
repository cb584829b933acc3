/// The pages that were read last, for those who come a moment later and are as far behind.
///
/// Ten thousand clients that come back after a restart are accepted over a second or more. Without
/// this, a page would have to be read for those of each moment: as many reads as there is time, and not
/// as many as there are pages.
///
/// A page is as true as one that is read now: ids that are settled stay settled, and what retention
/// has removed within so short a time counts as not removed yet. Where messages may still come below
/// the tip (`Stream.late`), nothing is kept.
struct PageShelf {
  /// How long a page is kept, how many of one stream, and how many bytes of all.
  static let lifeMs: Int64 = 5_000
  static let pagesOfStream = 4
  static let maximumBytes = 16 * 1024 * 1024

  /// A page on the shelf; the number tells it from those before and after.
  struct Kept {
    var number: Int
    var page: Page
  }

  private struct Place {
    var stream: Stream
    var number: Int
    var sinceMs: Int64
  }

  /// In the order of time, as the pages of each stream are. A stream may have let go of a page that
  /// still has its place here.
  private var places = Deque<Place>()
  private var nextNumber = 0
  private(set) var byteCount = 0

  /// Puts a page in; what is over the bounds goes, the oldest first.
  mutating func keep(_ page: Page, of stream: Stream, nowMs: Int64) {
    guard stream.late == nil, page.frames.count > 0 else { return }
    nextNumber += 1
    places.append(Place(stream: stream, number: nextNumber, sinceMs: nowMs))
    stream.keptPages.append(Kept(number: nextNumber, page: page))
    byteCount += page.frames.capacity
    if stream.keptPages.count > PageShelf.pagesOfStream { dropFirst(of: stream) }
    while byteCount > PageShelf.maximumBytes { dropFirst() }
  }

  /// A kept page for whoever has everything up to `cursor`.
  func page(of stream: Stream, after cursor: Int64) -> Page? {
    guard stream.late == nil else { return nil }
    return stream.keptPages.first { $0.page.serves(cursor) }?.page
  }

  /// What was read of a stream counts no longer.
  mutating func drop(of stream: Stream) {
    while !stream.keptPages.isEmpty { dropFirst(of: stream) }
  }

  /// Drops what is too old.
  mutating func tidy(nowMs: Int64) {
    while let place = places.first, nowMs - place.sinceMs >= PageShelf.lifeMs { dropFirst() }
  }

  private mutating func dropFirst() {
    guard let place = places.popFirst() else { return }
    if place.stream.keptPages.first?.number == place.number { dropFirst(of: place.stream) }
  }

  private mutating func dropFirst(of stream: Stream) {
    byteCount -= stream.keptPages.removeFirst().page.frames.capacity
  }
}
