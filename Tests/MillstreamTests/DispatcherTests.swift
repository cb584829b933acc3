import Testing

@testable import Millstream

extension ScriptedSocketTests {
  /// Streams from the store to the sockets, without either.
  @Suite struct DispatcherTests {
    private static func reset(_ lastSeen: Int64) -> String {
      text(ControlFrames.gap(lastSeen: lastSeen, oldest: nil, reason: "reset"))
    }

    @Test(arguments: [0, 1, 499, 500, 501, 1999, 2000])
    func everyCursorGetsEachFrameOnce(cursor: Int64) throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...2000)
      let connection = bench.connect(.after(id: cursor, epoch: nil))
      bench.settle()
      bench.store.publish(2001...2003)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      #expect(bench.frames(connection) == bench.store.frames((cursor + 1)...2003))
      #expect(connection.pointee.backlog == nil)
    }

    @Test func noCursorMeansFromNowOn() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      let connection = bench.connect(.none)
      bench.settle()
      #expect(bench.frames(connection).isEmpty)
      #expect(bench.received(connection).contains("since_id=10"))
      bench.store.publish(11...11)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      #expect(bench.frames(connection) == bench.store.frames(11...11))
    }

    @Test func openingWaitsUntilTheStreamIsKnown() throws {
      let bench = try DispatcherBench()
      let connection = bench.connect()
      bench.slices()
      #expect(bench.received(connection).isEmpty)
      bench.settle()
      #expect(bench.received(connection).hasPrefix("retry: 2000\n\n: pgbus stream open"))
    }

    @Test func absentStreamComesAlive() throws {
      let bench = try DispatcherBench()
      bench.store.identity = nil
      let connection = bench.connect()
      bench.settle()
      #expect(bench.frames(connection).isEmpty)
      bench.store.identity = 7
      bench.store.publish(1...2)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      #expect(bench.frames(connection) == bench.store.frames(1...2))
    }

    @Test func thousandWhoWaitShareAPage() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...5000)
      let connections = (0..<1000).map { bench.connect(.after(id: 100 + $0 / 2, epoch: nil)) }
      bench.slices()
      _ = bench.store.answer()
      bench.slices()
      #expect(bench.store.pageReads == [100])
      bench.settle()
      #expect(connections.allSatisfy { $0.pointee.phase == .live })
      #expect(bench.store.pageReads.count <= 5000 / MessageStore.pageRows + 1)
      #expect(bench.frames(connections[0]) == bench.store.frames(101...5000))
      #expect(bench.frames(connections[999]) == bench.store.frames(600...5000))
    }

    @Test func newStreamOfTheNameIsToldAndGivenWhole() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      let connection = bench.connect(.after(id: 8, epoch: nil))
      bench.settle()
      let before = bench.store.frames(9...10)
      recreate(bench, 1...3)
      #expect(bench.frames(connection) == before + Self.reset(10) + bench.store.frames(1...3))
      bench.store.publish(4...4)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      #expect(bench.frames(connection).hasSuffix(bench.store.frames(1...4)))
    }

    @Test func newStreamReachesEveryoneThoughTheLogWasTrimmed() throws {
      let bench = try DispatcherBench(logBytes: 4096)
      let connections = (0..<3).map { _ in bench.connect() }
      bench.settle()
      bench.store.publish(1...100, bytes: 400)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      let before = bench.store.frames(1...100)
      recreate(bench, 1...2)
      for connection in connections {
        #expect(bench.frames(connection) == before + Self.reset(100) + bench.store.frames(1...2))
      }
    }

    /// A client that joined the log with a cursor, and whose socket was full ever since.
    @Test func newStreamIsNotMeasuredByTheOldCursor() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      let connection = bench.connect(.after(id: 10, epoch: nil))
      bench.settle()
      bench.store.publish(11...20)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      let slow = bench.connect(.after(id: 15, epoch: nil), allowances: [1000, 7])
      bench.settle()
      #expect(slow.pointee.isBlocked)
      recreate(bench, 1...3)
      bench.writer.pump(slow)
      bench.settle()
      let rest = Self.reset(20) + bench.store.frames(1...3)
      #expect(bench.frames(slow).hasSuffix("data: m16\n\n" + rest))
      #expect(bench.frames(connection).hasSuffix(rest))
    }

    @Test func clientThatReadsAPageOfAnEarlierStreamIsTold() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...600)
      let live = bench.connect()
      bench.settle()
      let slow = bench.connect(.after(id: 0, epoch: nil), allowances: [1000, 50])
      bench.settle()
      #expect(slow.pointee.phase == .catchingUp && slow.pointee.isBlocked)
      recreate(bench, 1...3)
      bench.writer.pump(slow)
      bench.settle()
      #expect(bench.frames(slow).hasSuffix(bench.store.frames(1...3)))
      #expect(bench.frames(slow).contains("\"reason\":\"reset\""))
      #expect(bench.frames(live) == Self.reset(600) + bench.store.frames(1...3))
    }

    @Test func cursorThatNobodyKnowsIsToldAfterASecondLook() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      _ = bench.connect()
      bench.settle()
      let connection = bench.connect(.after(id: 900, epoch: nil))
      bench.settle()
      #expect(bench.frames(connection) == Self.reset(900) + bench.store.frames(1...10))
    }

    @Test func clientThatGoesWhileItIsToldOfAnUnknownCursorGoesOnce() throws {
      let bench = try DispatcherBench()
      let connection = bench.connect(.after(id: 900, epoch: nil), allowances: [1000, -1, -1, -1])
      let descriptor = connection.pointee.descriptor
      bench.settle()
      #expect(scriptedSockets[descriptor]!.isClosed)
      #expect(bench.writer.statistics.closed[Int(CloseReason.clientGone.rawValue)] == 1)
      #expect(bench.writer.table.count == 0)
      #expect(bench.stream().subscriberCount == 0)
    }

    @Test func cursorThatIsAheadOfTheLogIsBelieved() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      _ = bench.connect()
      bench.settle()
      bench.store.publish(11...20)
      let connection = bench.connect(.after(id: 15, epoch: nil))
      bench.settle()
      #expect(bench.frames(connection) == bench.store.frames(16...20))
    }

    @Test func blockedClientMovesOutOfATrimmedLog() throws {
      let bench = try DispatcherBench(logBytes: 64 * 1024)
      let slow = bench.connect()
      let quick = bench.connect()
      bench.settle()
      scriptedSockets[slow.pointee.descriptor]!.allowances = [30] + Array(repeating: 0, count: 9)
      for batch in Int64(0)..<20 {
        bench.store.publish((batch * 10 + 1)...(batch * 10 + 10), bytes: 3000)
        bench.dispatcher.wake(bench.stream())
        bench.settle()
      }
      #expect(slow.pointee.phase == .catchingUp)
      #expect(bench.stream().log.byteCount <= 2 * 64 * 1024)
      #expect(bench.frames(quick) == bench.store.frames(1...200))
      scriptedSockets[slow.pointee.descriptor]!.allowances = []
      bench.writer.pump(slow)
      bench.settle()
      #expect(bench.frames(slow) == bench.store.frames(1...200))
      #expect(slow.pointee.phase == .live)
    }

    @Test func ephemeralFrameGoesToThoseWhoAreConnectedOnly() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...1)
      let early = bench.connect()
      bench.settle()
      bench.sendEphemeral("now")
      bench.store.publish(2...2)
      bench.dispatcher.wake(bench.stream())
      bench.settle()
      let late = bench.connect(.after(id: 1, epoch: nil))
      bench.settle()
      let ephemeral = "event: turbo-stream\ndata: now\n\n"
      #expect(bench.frames(early) == ephemeral + bench.store.frames(2...2))
      #expect(bench.frames(late) == bench.store.frames(2...2))
    }

    @Test func ephemeralFrameWaitsForWhatWasStoredBeforeIt() throws {
      let bench = try DispatcherBench()
      let client = bench.connect()
      bench.settle()
      bench.store.publish(1...700)
      bench.dispatcher.wake(bench.stream())
      bench.sendEphemeral("now")
      bench.slices()
      #expect(bench.frames(client).isEmpty)
      bench.settle()
      #expect(
        bench.frames(client) == bench.store.frames(1...700) + "event: turbo-stream\ndata: now\n\n")
    }

    @Test func ephemeralFramesKeepTheirOrderWhereTooManyWait() throws {
      let bench = try DispatcherBench()
      let client = bench.connect()
      bench.settle()
      bench.dispatcher.wake(bench.stream())
      let count = Stream.maximumEphemerals + 10
      for number in 0..<count { bench.sendEphemeral("\(number)") }
      bench.settle()
      let expected = (0..<count).map { "event: turbo-stream\ndata: \($0)\n\n" }.joined()
      #expect(bench.frames(client) == expected)
    }

    @Test func ephemeralFrameDoesNotWaitForEver() throws {
      let bench = try DispatcherBench()
      let client = bench.connect()
      bench.settle()
      bench.dispatcher.wake(bench.stream())
      bench.sendEphemeral("now")
      bench.slices()
      #expect(bench.frames(client).isEmpty)
      bench.time.nowMs += Dispatcher.longestEphemeralWaitMs
      bench.dispatcher.tick(intervalMs: 50)
      bench.slices()
      #expect(bench.frames(client) == "event: turbo-stream\ndata: now\n\n")
    }

    @Test func refusedPageIsNotAskedForAgainAtOnce() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      let connection = bench.connect()
      bench.settle()
      let behind = bench.connect(.after(id: 0, epoch: nil))
      bench.slices()
      bench.store.refuseAll(.refused(sqlState: "57014", message: "statement timeout"))
      bench.slices()
      #expect(bench.store.pageReads == [0])
      #expect(bench.store.questions.isEmpty)
      bench.dispatcher.readsReady()
      bench.settle()
      #expect(bench.frames(behind) == bench.store.frames(1...10))
      #expect(bench.frames(connection).isEmpty)
    }

    @Test func nobodyIsLetInWhereAStreamMayOnlyBeChanging() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      let waits = bench.connect()
      let locked = QueryFailure.refused(sqlState: "55P03", message: "lock timeout")
      let gone = QueryFailure.refused(sqlState: "XX000", message: "could not open relation")
      for failure in [locked, locked, gone] {
        bench.slices()
        bench.store.refuseAll(failure)
        bench.slices()
        #expect(bench.received(waits).isEmpty && bench.store.questions.isEmpty)
        bench.time.nowMs += Dispatcher.changedPauseMs
        bench.dispatcher.tick(intervalMs: 50)
      }
      bench.settle()
      #expect(bench.received(waits).contains("since_id=10"))
    }

    @Test func nobodyWaitsForAStreamThatIsRefusedTwice() throws {
      let bench = try DispatcherBench()
      let waits = bench.connect()
      for isRefused in [false, true] {
        bench.slices()
        #expect(bench.received(waits).isEmpty)
        bench.store.refuseAll(.refused(sqlState: "42501", message: "permission denied"))
        bench.slices()
        #expect(bench.received(waits).isEmpty != isRefused)
        bench.time.nowMs += Dispatcher.changedPauseMs
        bench.dispatcher.tick(intervalMs: 50)
      }
    }

    @Test func whatASessionDidNotAnswerIsAskedAgain() throws {
      let bench = try DispatcherBench()
      bench.store.publish(1...10)
      let first = bench.connect()
      bench.settle()
      let behind = bench.connect(.after(id: 4, epoch: nil))
      bench.store.publish(11...12)
      bench.dispatcher.wake(bench.stream())
      bench.slices()
      bench.store.refuseAll(.sessionLost)
      bench.dispatcher.readsReady()
      bench.settle()
      #expect(bench.frames(first) == bench.store.frames(11...12))
      #expect(bench.frames(behind) == bench.store.frames(5...12))
    }

    @Test func streamThatNobodyWantsIsForgotten() throws {
      let bench = try DispatcherBench()
      let connection = bench.connect()
      bench.settle()
      bench.writer.close(connection, .requested)
      bench.settle()
      bench.dispatcher.tick(intervalMs: 50)
      #expect(bench.dispatcher.registry.streams.count == 1)
      bench.time.nowMs += 5_000
      bench.dispatcher.tick(intervalMs: 50)
      #expect(bench.dispatcher.registry.streams.isEmpty)
    }

    /// As when a queue was dropped and made again: ids begin at 1, and the next look shows it.
    private func recreate(_ bench: DispatcherBench, _ ids: ClosedRange<Int64>) {
      bench.store.identity = 2
      bench.store.texts = [:]
      bench.store.publish(ids)
      bench.dispatcher.readsReady()
      bench.settle()
    }
  }
}
