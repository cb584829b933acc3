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

  private struct Place {
    var stream: Stream
    var page: Page
    var sinceMs: Int64
  }

  /// In the order of time: what goes first is in front.
  private var places = Deque<Place>()
  private(set) var byteCount = 0

  /// Puts a page in; what is over the bounds goes.
  mutating func keep(_ page: Page, of stream: Stream, nowMs: Int64) {
    guard stream.late == nil, page.frames.count > 0 else { return }
    places.append(Place(stream: stream, page: page, sinceMs: nowMs))
    byteCount += page.frames.capacity
    stream.keptPages.append(page)
    if stream.keptPages.count > PageShelf.pagesOfStream { stream.keptPages.removeFirst() }
    while byteCount > PageShelf.maximumBytes { dropFirst() }
  }

  /// Drops what is too old.
  mutating func tidy(nowMs: Int64) {
    while let place = places.first, nowMs - place.sinceMs >= PageShelf.lifeMs { dropFirst() }
  }

  /// A page that the stream itself has let go of is still counted until its time has come.
  private mutating func dropFirst() {
    guard let place = places.popFirst() else { return }
    byteCount -= place.page.frames.capacity
    place.stream.keptPages.removeAll { $0.frames === place.page.frames }
  }
}
