@testable import Millstream

/// Connections and streams that somebody wants closed, whatever they are in the middle of.
extension World {
  enum Unwanted {
    case peer(SimulatedPeer)
    case queue(SimulatedQueue)
  }

  /// What the client of a connection, or of a stream, is told last.
  static let closedFrame = "event: millstream:closed\ndata: {\"reason\":\"closed\"}"

  func closeSomething() {
    if random.once(in: 3) {
      let all = peers.filter { $0.isOpen && !$0.isAsked }
      let busy = all.filter {
        $0.connection.pointee.isBlocked || $0.connection.pointee.phase != .live
      }
      guard let peer = random.pick(random.once(in: 2) ? busy : all) else { return }
      trace("client \(peer.id) is to be closed")
      unwanted.append(.peer(peer))
    } else {
      if random.once(in: 4) { beginLargeFrame() }
      if let queue = random.once(in: 2) ? busyQueue : random.pick(postgres.queues) { close(queue) }
    }
  }

  private func close(_ queue: SimulatedQueue) {
    let name = Array(queue.name.utf8)
    let stream = name.withUnsafeBytes { dispatcher.registry.stream(queue.store, $0) }
    guard let stream else { return }
    trace("\(queue.name) is to be closed")
    unwanted.append(.queue(queue))
    closing.add(stream, reason: nil)
  }

  /// A client of many takes the beginning of a frame that is longer than what is copied at once.
  private func beginLargeFrame() {
    guard let client = random.pick(carriers.filter { !$0.isGoing }),
      let lane = random.pick(client.product?.lanes ?? []),
      let queue = publishable.first(where: { $0.key == lane.key })
    else { return }
    client.socket.hasStalled = true
    client.socket.room = random.number(1_000..<20_000)
    publishLarge(to: queue)
    calm(ticks: 4)
  }

  /// One that has a client of many wait for the rest of a frame, or of a page.
  private var busyQueue: SimulatedQueue? {
    let lanes = carriers.compactMap { $0.product?.begun ?? $0.product?.pageHolder }
    guard let lane = random.pick(lanes) else { return nil }
    return postgres.queues.first { $0.key == lane.key }
  }

  /// Whoever has come by now is meant.
  func closeSlice() {
    let meant = peers.filter { $0.isOpen && $0.connection.pointee.phase != .closing }
    for target in unwanted {
      for peer in meant { peer.isToClose(target) }
      // The names that the world gives lead nowhere.
      guard case .peer(let peer) = target, peer.isOpen else { continue }
      let frame = ControlFrames.closed(reason: nil)
      writer.dismiss(peer.connection, frame, .requested, withinMs: Closing.patienceMs)
    }
    while closing.hasMore { closing.runSlice() }
    unwanted = []
    for peer in meant { peer.checkClosing() }
  }
}

extension SimulatedClient {
  func isToClose(_ target: World.Unwanted) {
    switch target {
    case .peer(let peer): if peer === self { isAsked = true }
    case .queue(let queue): if queue === self.queue { isAsked = true }
    }
  }

  func checkClosing() {
    let isLast = isOpen && world.writer.backlog(of: connection)?.isLast == true
    let isGoing = !isOpen || connection.pointee.phase == .closing || isLast
    if isAsked && !isGoing { fails("was to be closed, and goes on") }
    if isLast && !isAsked { fails("is closed, and was not to be") }
  }
}

extension SimulatedCarrier {
  /// Before it is open it ends as a whole with any of its streams.
  func isToClose(_ target: World.Unwanted) {
    switch target {
    case .peer(let peer):
      guard peer === self else { return }
      isAsked = true
      isMute = false
    case .queue(let queue):
      guard let product, product.lanes.contains(where: { $0.key == queue.key }) else { return }
      if !product.isOpen {
        isAsked = true
        isMute = true
      } else {
        closeLane(of: queue, product)
      }
    }
  }

  private func closeLane(of queue: SimulatedQueue, _ product: Carrier) {
    let knownCount = lanes.count
    guard let lane = lane(of: queue) else { return }
    // One that follows a pattern and of which nothing has come: the cursor may have nothing of it yet.
    if lanes.count > knownCount { lane.start = nil }
    lane.isAsked = true
    isOverWithLanes =
      product.patterns.isEmpty
      && product.lanes.allSatisfy { own in
        lanes.contains { $0.isAsked && $0.queue.key == own.key }
      }
  }

  func checkClosing() {
    let backlog = isOpen ? world.writer.backlog(of: connection) : nil
    let isGoing = connection.pointee.phase == .closing || backlog?.isLast == true
    if (isAsked || isOverWithLanes) && !isGoing { fails("was to be closed, and goes on") }
    if backlog?.isLast == true && !isAsked && !isOverWithLanes {
      fails("is closed, and was not to be")
    }
    for lane in lanes where lane.isAsked && !lane.isEnded {
      let isThere = backlog?.carrier?.lanes.contains { $0.key == lane.queue.key } == true
      if !isGoing && isThere { lane.fails("was to be closed, and goes on") }
      lane.isEnded = true
    }
  }
}
