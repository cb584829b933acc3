/// What time does to streams: looks that nothing asked for, and streams that nobody wants any more.
extension Dispatcher {
  /// Called by a timer, some ten times a second.
  func tick(intervalMs: Int64) {
    let nowMs = writer.clock.monotonicMs
    comeByReminded(nowMs)
    forgetEmpty(nowMs)
    pageShelf.tidy(nowMs: nowMs)
    lookForSafety(intervalMs)
    logMemory.step(over: registry.streams)
    commitProbe?.tick(nowMs)
    listPatternsNowAndThen(nowMs)
    maintain(nowMs)
  }

  private func maintain(_ nowMs: Int64) {
    guard nowMs >= nextMaintenanceMs else { return }
    nextMaintenanceMs = nowMs + limits.maintenanceMs
    for store in stores.values { store.maintain() }
  }

  /// The dispatcher comes by after so long, if not earlier: a trigger that keeps silent for a time after
  /// a wake-up says nothing at its end, and neither does a transaction that is rolled back.
  func remind(_ stream: Stream, afterMs: Int64) {
    let dueMs = writer.clock.monotonicMs + afterMs
    if stream.remindAtMs == nil { reminded.append(stream) }
    stream.remindAtMs = min(stream.remindAtMs ?? dueMs, dueMs)
  }

  private func comeByReminded(_ nowMs: Int64) {
    let isDue = { (stream: Stream) in stream.remindAtMs.map { $0 <= nowMs } ?? true }
    let due = reminded.filter(isDue)
    if due.isEmpty { return }
    reminded.removeAll(where: isDue)
    for stream in due {
      stream.remindAtMs = nil
      releaseEphemerals(of: stream)
      // Whoever subscribes while what is new is held back relies on this.
      if stream.isKept { comeBy(stream) }
      // Another wake-up has come since this was asked for, and its throttle is not over.
      if stream.throttleEndsMs > nowMs { remind(stream, afterMs: stream.throttleEndsMs - nowMs) }
    }
  }

  /// After a wake-up the trigger may keep silent for a time, and says nothing at its end.
  func awaitThrottle(of stream: Stream) {
    guard stream.throttleMs > 0 else { return }
    let afterMs = stream.throttleMs + 10
    stream.throttleEndsMs = writer.clock.monotonicMs + afterMs
    remind(stream, afterMs: afterMs)
  }

  /// Those who wait for longest go first, and before their time where there are very many.
  private func forgetEmpty(_ nowMs: Int64) {
    for _ in 0..<empty.count {
      guard let entry = empty.first,
        nowMs - entry.sinceMs >= limits.lingerMs || empty.count > limits.lingeringStreams
      else { return }
      _ = empty.popFirst()
      // It has had subscribers since: then there is a later entry, or will be one.
      guard entry.stream.emptySinceMs == entry.sinceMs else { continue }
      if entry.stream.reader.isBusy || entry.stream.pass.isQueued {
        entry.stream.emptySinceMs = nowMs
        empty.append((nowMs, entry.stream))
      } else {
        forget(entry.stream)
      }
    }
  }

  private func forget(_ stream: Stream) {
    for channel in stream.channels { listener.remove(channel) }
    registry.remove(stream)
    if stream.store == .native { listener.removeNativeStream(stream.storageName) }
    stream.emptySinceMs = nil
  }

  /// A wake-up is a hint and never the truth: every stream is looked at now and then. Each tick takes
  /// its share of the streams; what is less than one is carried over.
  private func lookForSafety(_ intervalMs: Int64) {
    guard limits.safetyPollMs > 0 else { return }
    safetyShare += Int64(registry.streams.count) * intervalMs
    let count = safetyShare / limits.safetyPollMs
    safetyShare %= limits.safetyPollMs
    for stream in registry.nextStreams(Int(count)) where stream.subscriberCount > 0 {
      if stream.reader.isLooking { continue }
      writer.statistics.safetyLooks += 1
      stream.isSafetyLook = true
      perform(stream.reader.lookWanted(), on: stream)
    }
  }
}
