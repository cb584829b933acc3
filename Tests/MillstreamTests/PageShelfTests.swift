import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// Pages that were read for some are there for those who come a moment later.
  @Suite struct PageShelfTests {
    private func benchWithAPage() throws -> DispatcherBench {
      let bench = try DispatcherBench()
      bench.store.publish(1...100)
      _ = bench.connect(.after(id: 10, epoch: nil))
      bench.settle()
      #expect(bench.store.pageReads == [10])
      return bench
    }

    @Test func whoComesLaterNeedsNoRead() throws {
      let bench = try benchWithAPage()
      for cursor in [10, 50, 99] {
        let connection = bench.connect(.after(id: Int64(cursor), epoch: nil))
        bench.settle()
        #expect(bench.frames(connection) == bench.store.frames(Int64(cursor + 1)...100))
        #expect(connection.pointee.phase == .live)
      }
      #expect(bench.store.pageReads == [10])
    }

    @Test func whoIsFurtherBehindIsReadFor() throws {
      let bench = try benchWithAPage()
      let connection = bench.connect(.after(id: 9, epoch: nil))
      bench.settle()
      #expect(bench.frames(connection) == bench.store.frames(10...100))
      #expect(bench.store.pageReads == [10, 9])
    }

    @Test func aPageHasItsTime() throws {
      let bench = try benchWithAPage()
      bench.time.nowMs += PageShelf.lifeMs
      bench.dispatcher.tick(intervalMs: 0)
      #expect(bench.dispatcher.pageShelf.byteCount == 0)
      #expect(bench.stream().keptPages.isEmpty)
    }

    @Test func aPageOfAnEarlierStreamIsGone() throws {
      let bench = try benchWithAPage()
      bench.store.identity = 2
      bench.dispatcher.lookWanted(at: bench.stream())
      bench.settle()
      #expect(bench.dispatcher.pageShelf.byteCount == 0)
    }

    @Test func nothingIsKeptWhereMessagesMayComeLate() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...100)
      bench.stream().late = LateHoles(holders: [], nowMs: 0)
      _ = bench.connect(.after(id: 10, epoch: nil))
      bench.settle()
      #expect(bench.store.pageReads == [10])
      #expect(bench.stream().keptPages.isEmpty)
    }

    @Test func ofOneStreamAndOfAllThereIsABound() {
      var shelf = PageShelf()
      var streams: [Stream] = []
      for number in 0..<40 {
        streams.append(Stream(store: .native, storageName: [UInt8(number)]))
        for begin in 0..<6 { shelf.keep(page(after: Int64(begin)), of: streams[number], nowMs: 0) }
        #expect(streams[number].keptPages.count <= PageShelf.pagesOfStream)
        #expect(shelf.byteCount <= PageShelf.maximumBytes)
      }
      let kept = streams.flatMap { $0.keptPages }.reduce(0) { $0 + $1.page.frames.capacity }
      #expect(shelf.byteCount == kept)
      #expect(shelf.page(of: streams[39], after: 5) != nil)
      #expect(shelf.page(of: streams[0], after: 5) == nil)
      shelf.tidy(nowMs: PageShelf.lifeMs)
      #expect(shelf.byteCount == 0)
      #expect(streams.allSatisfy { $0.keptPages.isEmpty })
    }

    /// What is new is read in the same session: it must not stand behind all of their pages.
    @Test func fewPagesAreUnderWayHoweverManyAreWanted() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...20_000)
      let connections = stride(from: Int64(0), to: 20_000, by: 500).map {
        bench.connect(.after(id: $0, epoch: nil))
      }
      bench.slices()
      _ = bench.store.answer()
      bench.slices()
      #expect(bench.store.pageReads.count == bench.dispatcher.limits.openPages)
      bench.settle()
      #expect(connections.allSatisfy { $0.pointee.phase == .live })
      #expect(bench.frames(connections[20]) == bench.store.frames(10_001...20_000))
      #expect(bench.store.openPages == 0)
    }

    private func page(after: Int64) -> Page {
      let frames = Chunk(start: 0, capacity: 256 * 1024)
      _ = frames.append([1], throughID: after + 1, .stored)
      return Page(after: after, through: after + 1, hasBefore: true, frames: frames)
    }
  }

  /// Streams that nobody is subscribed to any more.
  @Suite struct LingeringTests {
    @Test func theyGoAfterTheirTimeAndBeforeItWhereThereAreTooMany() throws {
      let bench = try DispatcherBench()
      for number in 0..<(bench.dispatcher.limits.lingeringStreams + 5) {
        let connection = bench.connect(name: "s\(number)")
        bench.writer.close(connection, .clientGone)
      }
      bench.settle()
      bench.dispatcher.tick(intervalMs: 0)
      #expect(bench.dispatcher.registry.streams.count == bench.dispatcher.limits.lingeringStreams)
      bench.time.nowMs += bench.dispatcher.limits.lingerMs
      bench.dispatcher.tick(intervalMs: 0)
      #expect(bench.dispatcher.registry.streams.isEmpty)
      #expect(bench.dispatcher.empty.isEmpty)
    }
  }
}

@Suite struct DequeTests {
  @Test func isAQueue() {
    var deque = Deque<Int>()
    var next = 0
    for number in 0..<1000 {
      deque.append(number)
      guard number % 3 > 0 else { continue }
      #expect(deque.popFirst() == next)
      next += 1
    }
    #expect(deque.count == 1000 - next)
    while let element = deque.popFirst() {
      #expect(element == next)
      next += 1
    }
    #expect(next == 1000 && deque.isEmpty && deque.first == nil)
  }
}
