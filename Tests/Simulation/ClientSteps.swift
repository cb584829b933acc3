import CLibEv

@testable import Millstream

/// Clients that come, stall, leave and come back.
extension World {
  func takeClient(_ step: Step) {
    let client = random.pick(clients.filter { $0.isOpen })
    switch step {
    case .connect: connect()
    case .comeBack:
      if !gone.isEmpty {
        let back = gone.remove(at: random.number(0..<gone.count))
        connect(to: back.queue, back.cursor)
      }
    case .stall: if let client { stall(client) }
    case .drain: if let client { drain(client) }
    case .hangUp:
      trace("client \(client?.id.description ?? "-") hangs up")
      client?.socket.isHungUp = true
    default: serveSockets()
    }
  }

  private func stall(_ client: SimulatedClient) {
    trace("client \(client.id) stalls")
    client.socket.hasStalled = true
    client.socket.room = random.number(0..<200)
  }

  private func drain(_ client: SimulatedClient) {
    client.socket.room = random.once(in: 3) ? random.number(1..<2_000) : nil
  }

  private func connect() {
    guard clients.count < 12, let queue = random.pick(postgres.queues) else { return }
    connect(to: queue, random.once(in: 2) ? nil : chosenCursor(of: queue))
  }

  /// Any that a page may have been rendered with; now and then one that nobody ever gave out.
  func chosenCursor(of queue: SimulatedQueue) -> SimulatedClient.Cursor? {
    if random.once(in: 12) {
      return SimulatedClient.Cursor(id: 100_000, text: "100000", incarnation: nil)
    }
    guard let current = queue.current, !queue.isRewound else { return nil }
    let ids = [0] + current.records.filter { $0.state == .committed }.map(\.id)
    let id = random.pick(ids) ?? 0
    let suffix = current.epoch.map { "-" + String($0, radix: 16) } ?? ""
    return SimulatedClient.Cursor(id: id, text: "\(id)\(suffix)", incarnation: current)
  }

  func connect(to queue: SimulatedQueue, _ cursor: SimulatedClient.Cursor?) {
    guard let (id, socket) = makeSocket(fullOnce: 5, room: 400) else { return }
    let connection = writer.adopt(socket.descriptor, id: id)
    let client = SimulatedClient(
      world: self, queue: queue, id: id, socket: socket, connection: connection, came: cursor)
    clients.append(client)
    trace("client \(id) comes to \(queue.name) with \(cursor?.text ?? "no cursor")")
    let backlog = writer.ensureBacklog(of: connection)
    let request = cursor.map {
      CursorRequest(text: Array($0.text.utf8)[...], allowsEpoch: queue.store == .native)
    }
    backlog.opening = Backlog.Opening(
      head: [], name: queue.name, cursor: request ?? .none, retryMs: 2000)
    backlogs.append(WeakReference(object: backlog))
    let stream = dispatcher.stream(
      queue.store, Array(queue.name.utf8), channels: queue.channels)
    if !streams.contains(where: { $0.object === stream }) {
      streams.append(WeakReference(object: stream))
    }
    dispatcher.subscribe(connection, to: stream)
  }

  /// What the loop would do: whoever asked to be told that its socket is ready is told.
  func serveSockets() {
    for client in peers
    where !client.socket.isClosed && client.connection.pointee.phase != .closing {
      let watcher = UnsafeMutableRawPointer(client.connection).assumingMemoryBound(to: ev_io.self)
      let wanted = watcher.pointee.events
      if client.connection.pointee.isBlocked && wanted & Int32(EV_WRITE) == 0 {
        fails("client \(client.id) is blocked, and nobody asks when its socket has room")
      }
      let isWritable = client.socket.room != 0 || client.socket.isHungUp
      var ready: Int32 = 0
      if client.socket.isHungUp && random.once(in: 2) { ready |= Int32(EV_READ) }
      if isWritable { ready |= Int32(EV_WRITE) }
      if wanted & ready != 0 { ev_invoke(loop.raw, watcher, wanted & ready) }
    }
  }

  /// A connection was closed: was there a reason?
  func closed(_ client: SimulatedPeer) {
    let reason = client.connection.pointee.closeReason
    client.endReason = reason
    trace("client \(client.id) is closed: \(reason)")
    let nowMs = postgres.nowMs
    switch reason {
    case .clientGone where client.socket.isHungUp: break
    case .writeDeadline where nowMs - client.socket.movedMs >= configuration.writeDeadlineMs: break
    case .idle
    where configuration.idleTimeoutMs > 0 && nowMs - client.bornMs >= configuration.idleTimeoutMs:
      break
    case .requested where isEnding || client.isAsked: break
    case .requested where (client as? SimulatedCarrier)?.isOverWithLanes == true: break
    case .overtaken where (client as? SimulatedCarrier)?.mayHaveTooMany == true: break
    default: fails("client \(client.id) was closed for \(reason)")
    }
  }
}

extension SimulatedClient {
  /// Whether it is live and takes at once whatever it is sent.
  var isReceptive: Bool {
    if carrier?.isGoing == true || isAsked { return false }
    let own = carrier?.connection ?? connection
    return connection.pointee.phase == .live && !own.pointee.isBlocked && takesAll
  }
}
