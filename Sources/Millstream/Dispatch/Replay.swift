/// Pages for those who are behind the log: as few as serve all who wait.
extension Dispatcher {
  func seekPage(_ stream: Stream) {
    // Where the store refuses to read, the next safety look finds out whether it still does.
    guard !stream.isInPageQueue, !stream.isLookFailing, !stream.reader.isAbsent else { return }
    stream.isInPageQueue = true
    pageSeekers.append(stream)
  }

  /// As far as there is room; streams take turns.
  func requestPages() {
    for _ in 0..<pageSeekers.count where hasRoomForPages {
      guard let stream = pageSeekers.popFirst() else { return }
      requestPages(for: stream)
    }
  }

  var hasRoomForPages: Bool {
    stores.values.reduce(0) { $0 + $1.openPages } < limits.openPages
  }

  /// Asks for as few pages as serve all who wait: those whose cursors lie close share one. Where there
  /// is no room for all of them, the rest has to wait for the next time.
  private func requestPages(for stream: Stream) {
    stream.isInPageQueue = false
    let cursors = stream.waiting.members.compactMap { connection -> Int64? in
      guard connection.pointee.phase == .catchingUp, let backlog = writer.backlog(of: connection),
        backlog.mayTakePage, backlog.cursor < stream.log.floor, !isFromElsewhere(backlog, stream)
      else { return nil }
      return backlog.cursor
    }
    var covered: Int64 = -1
    for cursor in cursors.sorted() where cursor > covered {
      let span = Int64(MessageStore.pageRows) - 1
      let pending = stream.requestedPages.filter { $0 <= cursor && cursor - $0 <= span }.max()
      if pending == nil {
        guard hasRoomForPages else { return seekPage(stream) }
        stream.requestedPages.insert(cursor)
        stores[stream.store]?.readPage(of: stream, after: cursor)
      }
      covered = (pending ?? cursor) + span
    }
  }

  func took(_ page: Page, of stream: Stream) {
    stream.requestedPages.remove(page.after)
    writer.statistics.replayPages += 1
    for connection in stream.waiting.members {
      guard let backlog = writer.backlog(of: connection), backlog.mayTakePage,
        connection.pointee.phase == .catchingUp, page.serves(backlog.cursor),
        !isFromElsewhere(backlog, stream)
      else { continue }
      if give(page, to: connection, backlog) { queueTurn(connection) }
    }
    pageShelf.keep(page, of: stream, nowMs: writer.clock.monotonicMs)
    seekPage(stream)
  }

  /// Gives a connection a page that was read for others a moment ago; says whether there was one.
  func giveKeptPage(_ connection: ConnectionRef, _ backlog: Backlog, of stream: Stream) -> Bool {
    guard backlog.mayTakePage, let page = pageShelf.page(of: stream, after: backlog.cursor) else {
      return false
    }
    return give(page, to: connection, backlog)
  }

  /// Says whether the connection is still there after what it had to be told.
  private func give(_ page: Page, to connection: ConnectionRef, _ backlog: Backlog) -> Bool {
    tellOfGap(connection, backlog, page)
    guard connection.pointee.phase == .catchingUp else { return false }
    backlog.hasReceived = true
    backlog.page = page.frames
    backlog.lane?.carrier.pageHolder = backlog.lane
    backlog.pageThrough = page.through
    backlog.pageOffset = page.frames.offset(afterID: backlog.cursor)
    return true
  }

  /// Said before the first event that the client can have; zero asks for all that there is.
  private func tellOfGap(_ connection: ConnectionRef, _ backlog: Backlog, _ page: Page) {
    let next = page.frames.firstID(after: backlog.cursor) ?? page.through + 1
    // The page may have been asked for by somebody who is further behind.
    let hasBefore = page.hasBefore || page.frames.hasID(upTo: backlog.cursor)
    guard !hasBefore, backlog.cursor > 0, next > backlog.cursor + 1 else { return }
    writer.statistics.gaps += 1
    writer.sendOwn(ControlFrames.gap(lastSeen: backlog.cursor, oldest: next), to: connection)
  }

  func pageEnded(_ connection: ConnectionRef) {
    guard let backlog = writer.backlog(of: connection) else { return }
    dropPage(of: backlog)
    backlog.cursor = max(backlog.cursor, backlog.pageThrough)
    place(connection)
  }

  /// What it has read was of an earlier stream of the name: all of the new one is to come.
  func beginAnew(_ connection: ConnectionRef) {
    writer.detachBegunFrame(of: connection)
    guard let backlog = writer.backlog(of: connection) else { return }
    dropPage(of: backlog)
    backlog.cursor = 0
    backlog.cursorEpoch = nil
    backlog.joinedAt = 0
    backlog.ephemeralsFrom = 0
  }
}
