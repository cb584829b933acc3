import Millstream

extension MetricsText {
  /// The process as a whole.
  mutating func write(_ facts: ProcessFacts, clients: Int, maxConnections: Int) {
    family("millstream_build_info", .gauge, "Always 1; the labels say what this is.")
    sample(1, ("version", Version.text))
    family(
      "millstream_start_time_seconds", .gauge,
      "When the process was started, in seconds since 1970.")
    sample(facts.startSeconds)
    family(
      "millstream_processor_seconds_total", .counter, "Processor time that the process has used.")
    sample(facts.processorSeconds)
    if let bytes = facts.residentBytes {
      family("millstream_resident_memory_bytes", .gauge, "Memory that the process has (RSS).")
      sample(bytes)
    }
    family("millstream_open_descriptors", .gauge, "Descriptors that are open.")
    sample(facts.openDescriptors(clients: clients))
    family("millstream_max_descriptors", .gauge, "How many descriptors there may be.")
    sample(facts.descriptorLimit)
    family("millstream_max_connections", .gauge, "How many connections there may be, in all loops.")
    sample(maxConnections)
  }

  /// What SIGHUP came to.
  mutating func write(isLastReloadSuccessful: Bool) {
    family(
      "millstream_last_reload_successful", .gauge,
      "0 if what the last SIGHUP asked for is not in order: what was in force before it still is.")
    sample(isLastReloadSuccessful ? 1 : 0)
  }

  /// The loops. One that has not answered is shown as it was seen last, so that no counter goes back.
  mutating func write(_ reports: [LoopReport]) {
    family("millstream_loop_up", .gauge, "1 if the loop has answered within half a second.")
    for report in reports { sample(report.isUp ? 1 : 0, ("loop", "\(report.number)")) }
    let loops = reports.compactMap { report in
      report.snapshot.map { Loop(label: "\(report.number)", snapshot: $0) }
    }
    writeConnections(loops)
    writeDeliveries(loops)
    writeMembers(loops)
    writeReading(loops)
    writeSessions(loops)
    writeLatencies(loops)
  }

  struct Loop {
    let label: String
    let snapshot: Snapshot
    var statistics: Statistics { snapshot.statistics }
  }

  private mutating func each<Value: BinaryInteger>(
    _ loops: [Loop], _ name: String, _ kind: Kind, _ help: String, _ value: KeyPath<Snapshot, Value>
  ) {
    family(name, kind, help)
    for loop in loops { sample(loop.snapshot[keyPath: value], ("loop", loop.label)) }
  }

  // MARK: Connections

  private mutating func writeConnections(_ loops: [Loop]) {
    family("millstream_connections", .gauge, "Connections that there are, by what they wait for.")
    for loop in loops {
      let states = loop.snapshot.states
      for (state, count) in [
        ("opening", states.opening), ("catching_up", states.catchingUp), ("live", states.live),
      ] { sample(count, ("loop", loop.label), ("state", state)) }
    }
    each(
      loops, "millstream_subscriptions", .gauge,
      "Streams that connections follow: more than there are connections where some carry several.",
      \.subscriptions)
    each(
      loops, "millstream_blocked_connections", .gauge,
      "Those of them, in whatever state, whose socket is full.", \.blocked)
    each(
      loops, "millstream_streams", .gauge, "Streams that have connections, or just had some.",
      \.streams)
    each(
      loops, "millstream_connections_opened_total", .counter, "Connections that were taken in.",
      \.statistics.opened)
    family(
      "millstream_connections_closed_total", .counter, "Connections that have ended, by reason.")
    for loop in loops {
      for reason in CloseReason.allCases {
        sample(
          loop.statistics.closed(reason), ("loop", loop.label), ("reason", reason.metricsLabel))
      }
    }
    family(
      "millstream_refusals_total", .counter,
      "Clients, and streams of connections with several, that were refused for now, by reason.")
    for loop in loops {
      for reason in RefusalReason.allCases {
        sample(loop.statistics.refused(reason), ("loop", loop.label), ("reason", "\(reason)"))
      }
    }
    writeRejections(loops)
    writeAccess(loops)
  }

  private mutating func writeRejections(_ loops: [Loop]) {
    family(
      "millstream_rejections_total", .counter,
      "Requests, and streams of requests for several, that were refused for good, by status.")
    for loop in loops {
      let rejections = loop.statistics.rejections
      for status in Rejections.statuses {
        sample(rejections.count(of: status), ("loop", loop.label), ("status", "\(status)"))
      }
      sample(rejections.others, ("loop", loop.label), ("status", "other"))
    }
  }

  private mutating func writeAccess(_ loops: [Loop]) {
    each(
      loops, "millstream_authorization_failures_total", .counter,
      "Questions to the application that it has not answered, or not in order.",
      \.statistics.failedAuthorizations)
    each(
      loops, "millstream_token_refusals_total", .counter,
      "Requests that were refused for their token, or because they had none.",
      \.statistics.refusedTokens)
    each(
      loops, "millstream_token_key_failures_total", .counter,
      "Attempts to fetch the keys of tokens that have failed.", \.statistics.failedKeyFetches)
  }

  // MARK: What comes and goes

  private mutating func writeDeliveries(_ loops: [Loop]) {
    each(
      loops, "millstream_deliveries_total", .counter,
      "Sends of frames that the kernel took; one may carry many messages.", \.statistics.sends)
    each(
      loops, "millstream_sent_bytes_total", .counter, "Bytes of frames that the kernel took.",
      \.statistics.bytesSent)
    family(
      "millstream_messages_total", .counter, "Messages that came for streams with connections.")
    for loop in loops {
      let statistics = loop.statistics
      for (kind, count) in [
        ("stored", statistics.storedMessages), ("ephemeral", statistics.ephemeralMessages),
        ("late", statistics.lateMessages),
      ] { sample(count, ("loop", loop.label), ("kind", kind)) }
    }
    each(
      loops, "millstream_dropped_ephemerals_total", .counter,
      "Ephemeral broadcasts that were dropped because their stream could not take more.",
      \.statistics.droppedEphemerals)
    each(
      loops, "millstream_gaps_total", .counter,
      "Gaps that were told: retention had removed what was due.", \.statistics.gaps)
    each(
      loops, "millstream_resets_total", .counter,
      "Connections that were told that their stream has begun anew.", \.statistics.resets)
    each(
      loops, "millstream_log_memory_bytes", .gauge,
      "Memory of the streams' logs; up to ten seconds old.", \.logBytes)
  }

  // MARK: Members

  private mutating func writeMembers(_ loops: [Loop]) {
    each(
      loops, "millstream_present_members", .gauge,
      "Members with connections to streams with presence, once for each stream.", \.presentMembers)
    each(
      loops, "millstream_presence_joins_total", .counter, "Members whose coming was told.",
      \.statistics.presenceJoins)
    each(
      loops, "millstream_presence_leaves_total", .counter, "Members whose leaving was told.",
      \.statistics.presenceLeaves)
    each(
      loops, "millstream_presence_swept_total", .counter,
      "Members of processes that went without a word, whose leaving was told for them.",
      \.statistics.presenceSwept)
    each(
      loops, "millstream_statistics_rows_dropped_total", .counter,
      "Rows for pgbus's dashboard that were not written.", \.statistics.droppedStatisticsRows)
  }

  // MARK: Reading

  private mutating func writeReading(_ loops: [Loop]) {
    each(
      loops, "millstream_wake_ups_total", .counter,
      "Notifications that a stream may have something new.", \.statistics.wakeUps)
    each(
      loops, "millstream_invalid_notifications_total", .counter,
      "Notifications that could not be understood.", \.statistics.invalidNotifications)
    each(
      loops, "millstream_safety_looks_total", .counter,
      "Looks at streams that nothing had asked for.", \.statistics.safetyLooks)
    each(
      loops, "millstream_safety_finds_total", .counter,
      "Safety looks that found what no notification had told of.", \.statistics.safetyFinds)
    each(
      loops, "millstream_replay_pages_total", .counter,
      "Pages that were read for connections that were behind.", \.statistics.replayPages)
    each(
      loops, "millstream_holes_total", .counter,
      "Times that messages waited for one below them that might still come.", \.statistics.holes)
    each(
      loops, "millstream_holes_given_up_total", .counter,
      "Holes that were passed because a transaction was open for too long.",
      \.statistics.givenUpHoles)
    each(
      loops, "millstream_holes_forgotten_total", .counter,
      "Passed holes that are not looked after any more, because there were too many.",
      \.statistics.forgottenHoles)
  }

  // MARK: Postgres

  private mutating func writeSessions(_ loops: [Loop]) {
    eachSession(loops, "millstream_postgres_session_ready", .gauge, "1 if the session can be used.")
    {
      $0.isReady ? 1 : 0
    }
    eachSession(
      loops, "millstream_postgres_reconnects_total", .counter,
      "Times that the session became ready, but for the first."
    ) { $0.timesReady - min($0.timesReady, 1) }
    eachSession(
      loops, "millstream_postgres_failures_total", .counter,
      "Sessions that broke, and attempts to connect that failed."
    ) { $0.timesFailed }
    eachSession(
      loops, "millstream_postgres_queries_total", .counter,
      "Statements that were sent, settings and signs of life included."
    ) { $0.queries }
    writeStores(loops)
    guard let usage = loops.compactMap(\.snapshot.notificationQueueUsage).first else { return }
    family(
      "millstream_notification_queue_usage_ratio", .gauge,
      "How full Postgres' notification queue is, from 0 to 1; asked once a minute.")
    sample(usage)
  }

  private mutating func writeStores(_ loops: [Loop]) {
    family(
      "millstream_store_available", .gauge,
      "1 if a store that is served is in the database and may be read; one of two that is not there is left out."
    )
    for store in [StoreKind.pgmq, .native] {
      guard let isAvailable = loops.compactMap({ $0.snapshot.availableStores[store] }).first else {
        continue
      }
      sample(isAvailable ? 1 : 0, ("store", "\(store)"))
    }
    each(
      loops, "millstream_postgres_refusals_total", .counter,
      "Questions about streams that Postgres refused, but for tables that are locked or not there.",
      \.statistics.refusedQuestions)
  }

  private mutating func eachSession(
    _ loops: [Loop], _ name: String, _ kind: Kind, _ help: String,
    _ value: (SessionSnapshot) -> UInt64
  ) {
    family(name, kind, help)
    for loop in loops {
      for session in loop.snapshot.sessions {
        sample(value(session), ("loop", loop.label), ("session", session.name))
      }
    }
  }

  // MARK: Latencies

  private mutating func writeLatencies(_ loops: [Loop]) {
    let statistics = loops.map(\.statistics)
    family(
      "millstream_broadcast_to_socket_seconds", .histogram,
      "From a message's coming from Postgres until all connections with room have it, for each pass."
    )
    sample(statistics.map(\.broadcastToSocket).reduce(Histogram(), +))
    family(
      "millstream_commit_to_socket_seconds", .histogram,
      "The same from the begin of the commit; native store, one message a second and loop.")
    sample(statistics.map(\.commitToSocket).reduce(Histogram(), +))
    family("millstream_loop_lag_seconds", .histogram, "How late the loop's timer of 50 ms was.")
    for loop in loops { sample(loop.statistics.loopLag, ("loop", loop.label)) }
  }
}

extension CloseReason {
  /// As Prometheus' labels are written: `write_deadline`.
  fileprivate var metricsLabel: String {
    "\(self)".reduce(into: "") { label, character in
      if character.isUppercase { label += "_" }
      label += character.lowercased()
    }
  }
}
