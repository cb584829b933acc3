/// What is written of members, and swept, each as one statement for many.
extension Presence {
  /// Whether there was anything.
  func writeSome(_ nowMs: Int64) -> Bool {
    let writes = table.takeWrites(nowMs: nowMs)
    for (group, writes) in Dictionary(grouping: writes, by: { Group(of: $0) }) {
      write(writes, group, isBare: false)
    }
    let questions = table.takeQuestions()
    if !questions.isEmpty { ask(questions) }
    let leaves = table.takeLeaves(nowMs: nowMs)
    for (store, leaves) in Dictionary(grouping: leaves, by: { $0.key.stream.store }) {
      remove(leaves, store) { [weak self] told in
        self?.table.leavesEnded(leaves)
        self?.writer.statistics.presenceLeaves += UInt64(told)
      }
    }
    let lists = self.lists.take(Presence.listsInQuery)
    for (store, lists) in Dictionary(grouping: lists, by: { $0.stream.store }) {
      read(lists, store)
    }
    return !(writes.isEmpty && questions.isEmpty && leaves.isEmpty && lists.isEmpty)
  }

  private struct Group: Hashable {
    let store: StoreKind
    let reason: PresenceTable.Reason

    init(of write: PresenceTable.Write) {
      store = write.key.stream.store
      reason = write.reason
    }
  }

  private func write(_ writes: [PresenceTable.Write], _ group: Group, isBare: Bool) {
    let keys = writes.map(\.key)
    let parameters =
      names(keys) + [
        PostgresStore.arrayLiteral(writes.map { isBare ? Array("{}".utf8) : $0.metadata }),
        channels(keys), group.reason == .join ? "t" : "f",
      ]
    submit(PresenceSQL(group.store).write, parameters, group.store) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success(let joined): writer.statistics.presenceJoins += UInt64(joined)
      case .failure(let failure) where failure.isOfData: writeParts(writes, group, isBare)
      case .failure(let failure): if !failure.isFinal { table.writesFailed(writes) }
      }
    }
  }

  /// Postgres cannot keep something, and does not say whose it is: the others shall not suffer for it. Who is
  /// alone goes without metadata, and if it is not that, not at all.
  private func writeParts(_ writes: [PresenceTable.Write], _ group: Group, _ isBare: Bool) {
    if writes.count > 1 {
      let middle = writes.count / 2
      write(Array(writes[..<middle]), group, isBare: false)
      write(Array(writes[middle...]), group, isBare: false)
    } else if !isBare, let alone = writes.first {
      table.metadataRefused(alone)
      write(writes, group, isBare: true)
    }
    session.flush()
  }

  private func ask(_ departures: [PresenceTable.Departure]) {
    var cutoff: [UInt8]?
    let payloads = PostgresStore.arrayLiteral(PresenceQuestion.payloads(departures.map(\.key)))
    submit(
      PresenceSQL.ask, [payloads], nil, took: { cutoff = $0.bytes(0).map(Array.init) }
    ) { [weak self] _ in
      guard let self else { return }
      if let cutoff {
        table.asked(departures, at: cutoff, nowMs: writer.clock.monotonicMs)
      } else {
        table.askingFailed(departures)
      }
    }
  }

  private func remove(
    _ leaves: [PresenceTable.Leave], _ store: StoreKind, ended: @escaping (_ told: Int) -> Void
  ) {
    let keys = leaves.map(\.key)
    let parameters =
      names(keys) + [channels(keys), PostgresStore.arrayLiteral(leaves.map(\.cutoff))]
    submit(PresenceSQL(store).remove, parameters, store) { result in
      ended((try? result.get()) ?? 0)
    }
  }

  private func names(_ keys: [PresenceKey]) -> [String?] {
    [
      PostgresStore.arrayLiteral(keys.map(\.stream.name)),
      PostgresStore.arrayLiteral(keys.map(\.member)),
    ]
  }

  /// Where those listen who are on the streams.
  private func channels(_ keys: [PresenceKey]) -> String {
    PostgresStore.arrayLiteral(
      keys.map { key in
        if key.stream.store == .native { return Array(NativeSchema.channel.utf8) }
        let name = String(decoding: key.stream.name, as: UTF8.self)
        return QueueName(stream: name, prefix: settings.queuePrefix).map {
          Array($0.channel.utf8)
        } ?? []
      })
  }

  // MARK: Sweeping

  /// Removes the rows of processes that are gone.
  func sweep(_ nowMs: Int64) {
    // Not all processes at once.
    nextSweepMs =
      nowMs + settings.heartbeatMs / 2 + Int64.random(in: 0...max(settings.heartbeatMs, 1))
    let like = PostgresStore.arrayLiteral(settings.patterns.map(PresenceSQL.like))
    for store in stores {
      var stale: [PresenceTable.Leave] = []
      let took = { (row: Row) in
        guard let stream = row.bytes(0), let member = row.bytes(1), let cutoff = row.bytes(2) else {
          return
        }
        let key = PresenceKey(
          PresenceStream(store: store, name: Array(stream)), member: Array(member))
        stale.append(PresenceTable.Leave(key: key, cutoff: Array(cutoff)))
      }
      submit(
        PresenceSQL(store).stale, ["\(settings.staleMs)", like], store, took: took
      ) { [weak self] _ in
        if !stale.isEmpty { self?.removeStale(stale, store) }
      }
    }
  }

  private func removeStale(_ stale: [PresenceTable.Leave], _ store: StoreKind) {
    remove(stale, store) { [weak self] told in
      guard let self else { return }
      writer.statistics.presenceSwept += UInt64(told)
      // There are more: of a process with very many, the last would wait for an hour.
      if told > 0 && stale.count == PresenceSQL.staleRows { nextSweepMs = 0 }
    }
    session.flush()
  }
}
