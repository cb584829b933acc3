@testable import Millstream

/// Clients with many streams on one connection, and what makes it hard for them.
extension World {
  private static let patterns = ["room:*", "*", "desk *", "room:1*", "*2"]

  /// Now and then very many.
  func makeManyQueues() {
    let isCrowd = random.once(in: 40)
    let count = isCrowd ? random.number(100..<262) : random.number(2..<9)
    for number in 0..<count {
      guard isCrowd || !random.once(in: 3) else {
        makeQueue(number, isNative: false)
        continue
      }
      let name = isCrowd ? "room:\(number)" : nativeName(number)
      postgres.add(SimulatedQueue(store: .native, name: name))
    }
  }

  func takeCarrier(_ step: Step) {
    let client = random.pick(carriers.filter { $0.isOpen })
    switch step {
    case .connectMany: connectMany()
    case .comeBackWithMany: comeBackWithMany()
    case .stallMany:
      client?.socket.hasStalled = true
      client?.socket.room = random.number(0..<(random.once(in: 3) ? 30_000 : 800))
    case .drainMany:
      client?.socket.room = random.once(in: 3) ? random.number(1..<6_000) : nil
    default:
      trace("client \(client?.id.description ?? "-") hangs up")
      client?.socket.isHungUp = true
    }
  }

  func checkCarriers() {
    for carrier in carriers where carrier.isOpen {
      carrier.read()
      carrier.watch()
    }
    for carrier in carriers where !carrier.isOpen {
      carrier.read()
      checkEnd(of: carrier)
      goneCarriers.append(carrier.past)
    }
    carriers.removeAll { !$0.isOpen }
    if goneCarriers.count > 6 { goneCarriers.removeFirst() }
  }

  // MARK: Coming

  private func connectMany() {
    guard carriers.count < 3, let store = random.pick(postgres.queues)?.store else { return }
    var wishes = SimulatedCarrier.Wishes(store: store)
    addQueues(&wishes)
    if !random.once(in: 3) { addPatterns(&wishes) }
    wishes.hasBadName = random.once(in: 8)
    connect(wishes)
  }

  /// The same, or some, or others too.
  private func comeBackWithMany() {
    guard carriers.count < 3, !goneCarriers.isEmpty else { return }
    var wishes = goneCarriers.remove(at: random.number(0..<goneCarriers.count))
    if random.once(in: 4) { wishes.queues.removeAll { _ in random.once(in: 2) } }
    if random.once(in: 4) { addQueues(&wishes) }
    if random.once(in: 6) { wishes.patterns = [] }
    if random.once(in: 6) { addPatterns(&wishes) }
    if random.once(in: 3) { wishes.queues.shuffle(using: &random) }
    if random.once(in: 2) { wishes.fromStart = [] }
    connect(wishes)
  }

  func addQueues(_ wishes: inout SimulatedCarrier.Wishes) {
    let own = postgres.queues.filter { $0.store == wishes.store }.shuffled(using: &random)
    for queue in own.prefix(random.number(0..<(own.count + 1))) {
      if wishes.queues.contains(where: { $0.queue === queue }) { continue }
      guard wishes.queues.count < CursorVector.maximumStreams - 4 else { return }
      wishes.queues.append((queue, random.once(in: 2) ? nil : chosenCursor(of: queue)))
    }
  }

  func addPatterns(_ wishes: inout SimulatedCarrier.Wishes) {
    guard wishes.store == .native else { return }
    for _ in 0..<random.number(1..<3) {
      let pattern = random.pick(World.patterns)!
      if !wishes.patterns.contains(pattern) { wishes.patterns.append(pattern) }
      if random.once(in: 3) { wishes.fromStart.insert(pattern) }
    }
  }

  private func connect(to queue: SimulatedQueue, and other: SimulatedQueue) {
    connect(SimulatedCarrier.Wishes(store: queue.store, queues: [(queue, nil), (other, nil)]))
  }

  func connect(_ wishes: SimulatedCarrier.Wishes) {
    guard !wishes.queues.isEmpty || !wishes.patterns.isEmpty,
      let set = subscriptions(for: wishes), let (id, socket) = makeSocket(fullOnce: 4, room: 2_000)
    else { return }
    let opening = Carrier.Opening(head: [], retryMs: 2000, entries: set.entries)
    let product = writer.makeCarrier(writer.adopt(socket.descriptor, id: id), opening, nil)
    dispatcher.take(product, set)
    trace(
      "client \(id) comes to \(wishes.queues.map(\.queue.name)) and \(wishes.patterns) with "
        + "\(wishes.lastEventID ?? "no cursor")")
    carriers.append(
      SimulatedCarrier(
        world: self, wishes: wishes, id: id, socket: socket, connection: product.connection))
  }

  /// At the end it has to be gone.
  func note(_ stream: Stream?) {
    guard let stream else { return }
    if streams.contains(where: { $0.object === stream }) { return }
    streams.append(WeakReference(object: stream))
  }

  // MARK: The request

  /// As the router reads it.
  private func subscriptions(for wishes: SimulatedCarrier.Wishes) -> SubscriptionSet? {
    let query = StreamSetQuery(Array(queryText(of: wishes).utf8)[...])
    var word = wishes.lastEventID
    if random.once(in: 3) { word = word.map { String($0.prefix { $0 != " " }) } }
    guard let cursor = SetCursor(lastEventID: word.map { Array($0.utf8)[...] }, query: query) else {
      fails("<\(word ?? "")> is no cursor")
      return nil
    }
    var set = SubscriptionSet(store: wishes.store, head: [], cursor: cursor)
    for wish in query.wishes { add(wish, to: &set) }
    return set
  }

  private func queryText(of wishes: SimulatedCarrier.Wishes) -> String {
    var fields = wishes.hasBadName ? ["s=%zz"] : []
    for (queue, since) in wishes.queues {
      fields.append("s=\(World.encoded(queue.name))" + (since.map { "&since=\($0.text)" } ?? ""))
    }
    for pattern in wishes.patterns {
      fields.append(
        "s=\(World.encoded(pattern))" + (wishes.fromStart.contains(pattern) ? "&since=0" : ""))
    }
    return fields.joined(separator: "&")
  }

  private static func encoded(_ name: String) -> String {
    name.utf8.map { byte in
      ASCII.isLetter(byte) || ASCII.isDigit(byte)
        ? String(UnicodeScalar(byte))
        : "%" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }.joined()
  }

  private func add(_ wish: StreamSetQuery.Wish, to set: inout SubscriptionSet) {
    guard let bytes = wish.name else { return set.addRefused(status: 404) }
    let name = String(decoding: bytes, as: UTF8.self)
    let isPattern = bytes.contains(UInt8(ascii: "*"))
    let cursor =
      isPattern
      ? set.cursor.request(forPatternSince: wish.since)
      : set.cursor.request(for: name, since: wish.since, allowsEpoch: set.store == .native)
    if cursor == .invalid { return fails("a cursor of \(name) is none") }
    let channels = isPattern ? [] : postgres.queue(set.store, bytes)?.channels ?? []
    var subscription = Subscription(
      store: set.store, name: name, storageName: bytes, channels: channels, cursor: cursor, head: []
    )
    subscription.isPattern = isPattern
    set.add(subscription)
  }

  // MARK: What is published

  /// Several streams have something new at once.
  func publishEverywhere() {
    let queues = publishable.shuffled(using: &random)
    guard postgres.transactions.count < 6, !queues.isEmpty else { return }
    let transaction = postgres.begin()
    for queue in queues.prefix(random.number(1..<min(queues.count, 40) + 1)) {
      for _ in 0..<random.number(1..<4) { publish(to: queue, bytes: 30, in: transaction) }
    }
    commit(transaction)
    postgres.release(transaction)
  }

  /// Longer than what is copied at once.
  func publishLarge(to queue: SimulatedQueue) {
    let bytes = random.number((Carrier.batchBytes - 200)..<(3 * Carrier.batchBytes))
    publishAtOnce(1, to: queue, bytes: bytes)
  }

  /// Those that can begin anew.
  var candidatesForRebirth: [SimulatedQueue] {
    publishable.filter { $0.current != nil && !$0.hidesSequence && !postgres.isLocked($0) }
  }

  func recreate(_ queue: SimulatedQueue) {
    drop(queue)
    if queue.store == .pgmq { postgres.create(queue) }
  }

  /// A stream begins anew while clients take nothing, and more comes at once than its log holds.
  func beReborn() {
    guard reads.isReady, listens.isReady, let queue = random.pick(candidatesForRebirth) else {
      return
    }
    connect(to: queue, nil)
    let other = random.pick(publishable.filter { $0.store == queue.store && $0 !== queue })
    if let other, carriers.count < 3 { connect(to: queue, and: other) }
    calm(ticks: 4)
    publishAtOnce(random.number(1..<4), to: queue)
    calm(ticks: 4)
    for client in peers where !client.socket.isClosed && !random.once(in: 4) {
      client.socket.hasStalled = true
      client.socket.room = random.number(0..<150)
    }
    if let other, random.once(in: 2) {
      publishLarge(to: other)
      calm(ticks: 2)
    }
    publishAtOnce(random.number(1..<3), to: queue)
    calm(ticks: 2)
    guard !postgres.isLocked(queue) else { return }
    recreate(queue)
    if random.once(in: 2) { calm(ticks: 20) }
    publishAtOnce(1, to: queue)
    calm(ticks: random.number(1..<20))
    publishAtOnce(random.number(30..<80), to: queue)
    calm(ticks: 2)
    for client in peers where !random.once(in: 3) { client.socket.room = nil }
    calm(ticks: 4)
  }
}
