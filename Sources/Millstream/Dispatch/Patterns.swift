/// Patterns of native streams (`room:42:*`): which streams fit is asked of the store once, and then heard, as
/// each message is notified with the name of its stream. Now and then the store is asked again.
extension Dispatcher {
  /// So often at the most the store is asked again which streams there are.
  private static let listAgainMs: Int64 = 30_000
  private static let refusedPauseMs: Int64 = 5_000
  /// How many patterns are asked about at once, and not more before the answer: what clients need for their places
  /// is asked in between.
  private static let patternsInQuery = 16

  /// A carrier follows a pattern; it opens when it has the streams that there are.
  func follow(_ subscription: Subscription, _ carrier: Carrier, entry: Int, _ cursor: CursorVector?)
  {
    if patterns.isEmpty { listener.wantAllNativeStreams() }
    let pattern = Carrier.Pattern(subscription.storageName)
    carrier.patterns.append(pattern)
    carrier.unlistedCount += 1
    let follower = PatternTable.Follower(
      carrier, subscription.context, entry: entry, begin: subscription.cursor, cursor: cursor,
      isResumed: cursor?[pattern.key] != nil)
    patterns.add(follower, to: pattern.text)
  }

  func unfollow(_ carrier: Carrier) {
    if carrier.patterns.isEmpty { return }
    patterns.remove(carrier)
    if patterns.isEmpty { listener.wantKnownNativeStreams() }
  }

  /// Something was published to this native stream: it may be one that nobody had before.
  func heard(of name: [UInt8]) {
    let key = CursorVector.Key(name)
    for group in patterns.groups.values where group.pattern.matches(name) {
      for follower in group.followers.values {
        if follower.isListed {
          join(follower, name, key)
        } else if !group.hold(name) {
          patterns.wantList(of: group)
        }
      }
    }
  }

  // MARK: The list

  /// What was heard before may be all there is, or not.
  func listPatternsAgain() { patterns.wantAllLists() }

  func listPatternsNowAndThen(_ nowMs: Int64) {
    guard !patterns.isEmpty, nowMs >= nextListMs else { return }
    nextListMs = nowMs + Dispatcher.listAgainMs
    listPatternsAgain()
  }

  /// Whether a list is wanted, and can be asked for. What is published after that is heard: before, nobody asks.
  var mayList: Bool {
    guard !isListing, let native = stores[.native] as? NativeStore, native.reads.isReady else {
      return false
    }
    return listener.isListening(to: [NativeSchema.channel])
      && patterns.wantsLists
  }

  /// Asks for some of the lists that are wanted.
  func listPatterns() {
    guard mayList, let native = stores[.native] as? NativeStore else { return }
    list(patterns.takeWanted(atMost: Dispatcher.patternsInQuery), native)
  }

  private func list(_ groups: [PatternTable.Group], _ native: NativeStore) {
    let followers = groups.map { Array($0.followers.values) }
    isListing = true
    native.submit(
      StreamListQuery(groups.map(\.text)) { [weak self] result in
        guard let self else { return }
        isListing = false
        switch result {
        case .success(let listings):
          isListFailing = false
          for (index, group) in groups.enumerated() {
            listed(group, listings[index], followers[index])
          }
        case .failure(let failure): listFailed(failure)
        }
      })
  }

  /// Where the session broke, the next one asks at once; where Postgres refuses, it is asked again soon.
  private func listFailed(_ failure: QueryFailure) {
    nextListMs = min(nextListMs, writer.clock.monotonicMs + Dispatcher.refusedPauseMs)
    guard case .refused(let sqlState, let message) = failure, !isListFailing else { return }
    isListFailing = true
    logger.error(
      "postgres refuses to list the streams of a pattern",
      metadata: ["sqlstate": "\(sqlState)", "reason": "\(message)"])
  }

  /// `listing`: the streams that there are; `followers`: those who were there when it was asked.
  private func listed(
    _ group: PatternTable.Group, _ listing: StreamListQuery.Listing,
    _ followers: [PatternTable.Follower]
  ) {
    let keys = listing.names.map { CursorVector.Key($0) }
    for follower in followers where group.followers[follower.slot] === follower {
      let isNew = !follower.isListed
      let status = listing.isTooWide ? 413 : refusal(of: keys, on: follower.carrier)
      if isNew, let status {
        refuse(follower, group, status)
      } else {
        for (name, key) in zip(listing.names, keys) { join(follower, name, key) }
        follower.isListed = true
        for name in group.heard { join(follower, name, CursorVector.Key(name)) }
      }
      if isNew { follower.carrier.unlistedCount -= 1 }
      openIfReady(follower.carrier)
    }
    group.forgetHeard()
  }

  /// The status that refuses so many streams to a connection or to all of them; nil: there is room. Those that it
  /// has by a name or by another pattern are among them.
  private func refusal(of keys: [CursorVector.Key], on carrier: Carrier) -> Int? {
    let count = keys.count { !carrier.hasLane($0) }
    if carrier.lanes.count + count > CursorVector.maximumStreams { return 413 }
    return writer.laneCount + count > limits.lanes ? 503 : nil
  }

  /// It gets none of them: those that come later, and those of the next list, would be too many as well.
  private func refuse(
    _ follower: PatternTable.Follower, _ group: PatternTable.Group, _ status: Int
  ) {
    let carrier = follower.carrier
    if status == HTTPResponse.full.status {
      writer.statistics.count(.full)
    } else {
      writer.statistics.rejections.add(status)
    }
    let entry = carrier.opening.entries[follower.entry]
    for index in carrier.opening.entries.indices where carrier.opening.entries[index] == entry {
      carrier.opening.entries[index] = .refused(status: status)
    }
    patterns.remove(carrier, from: group.text)
    carrier.patterns.removeAll { $0.text == group.text }
    if patterns.isEmpty { listener.wantKnownNativeStreams() }
  }

  private func join(_ follower: PatternTable.Follower, _ name: [UInt8], _ key: CursorVector.Key) {
    let carrier = follower.carrier
    guard carrier.connection.pointee.phase != .closing, !carrier.hasLane(key) else { return }
    // It is told when it comes back.
    guard carrier.laneCount < CursorVector.maximumStreams, writer.laneCount < limits.lanes else {
      return writer.close(carrier.connection, .overtaken)
    }
    let subscription = Subscription(
      store: .native, name: String(decoding: name, as: UTF8.self), storageName: name,
      channels: [NativeSchema.channel], cursor: patterns.request(for: name, key, of: carrier),
      head: [], context: patterns.context(for: name, of: carrier))
    let lane = writer.addLane(of: carrier, subscription)
    writer.admissions[carrier.connection.pointee.id]?.joined(.native, name)
    let stream = stream(
      .native, name, name: subscription.name, channels: subscription.channels)
    // What is stored nowhere and has brought us here is for it, too.
    lane.hearsFrom = stream.log.end
    subscribe(lane.connection, to: stream)
  }
}
