import CLoad
import Glibc

/// The load: all connections, on one epoll loop. It opens them at a bounded pace, reads until the
/// options say that it is enough, and counts.
struct Load: ~Copyable {
  private static let receiveSize = 1 << 16

  let options: Options
  let target: Target
  private let poller: Poller
  private let connections: UnsafeMutablePointer<ClientConnection>
  /// One for all: nothing of it is kept between two reads.
  private let buffer: UnsafeMutableRawBufferPointer
  private let stampOffsetNs: Int64
  private(set) var tally = Tally()
  private(set) var timeline = Timeline()
  private(set) var latencies = Latencies()
  private(set) var rounds: Rounds
  private var batchNs: Int64 = 0
  private var begun = 0
  private var inFlight = 0
  /// Connections that will get nothing more: refused, failed or disconnected.
  private var gone = 0
  /// Connections that have had as many messages as are wanted.
  private var satisfied = 0

  init(_ options: Options, _ target: Target) throws(LoadError) {
    self.options = options
    self.target = target
    poller = try Poller()
    connections = .allocate(capacity: options.connections)
    let order = options.since.map { IDOrder(since: $0) } ?? IDOrder()
    connections.initialize(
      repeating: ClientConnection(order: order), count: options.connections)
    buffer = .allocate(byteCount: Load.receiveSize, alignment: 64)
    stampOffsetNs = options.clock == .monotonic ? Clock.monotonicOffsetNs() : 0
    rounds = Rounds(connections: options.connections)
  }

  deinit {
    connections.deallocate()
    buffer.deallocate()
  }

  mutating func run() throws(LoadError) {
    while !isOver() {
      try openMore()
      let count = poller.wait(timeoutMs: waitMs())
      batchNs = Clock.nowNs()
      for event in 0..<count {
        try ready(poller.index(of: event), poller.mask(of: event))
      }
    }
  }

  private func waitMs() -> Int32 {
    begun < options.connections && inFlight < options.inFlight ? 1 : 50
  }

  // MARK: The end

  private mutating func isOver() -> Bool {
    let seconds = Double(Clock.nowNs() - timeline.startNs) / 1e9
    if seconds > options.timeoutSeconds {
      timeline.timedOut = true
      return true
    }
    return load_stop_requested() != 0 || gone == options.connections || isEnough()
  }

  private func isEnough() -> Bool {
    if options.messages != nil && satisfied + gone == options.connections { return true }
    guard let limit = options.durationSeconds, let since = timeline.subscribedNs else {
      return false
    }
    return Double(Clock.nowNs() - since) / 1e9 > limit
  }

  // MARK: Connecting

  private mutating func openMore() throws(LoadError) {
    while begun < min(options.connections, allowedByNow()) && inFlight < options.inFlight {
      try open(begun)
      begun += 1
    }
  }

  private func allowedByNow() -> Int {
    guard options.connectsPerSecond > 0 else { return Int.max }
    let seconds = Double(Clock.nowNs() - timeline.startNs) / 1e9
    return Int(seconds * Double(options.connectsPerSecond)) + 1
  }

  private mutating func open(_ index: Int) throws(LoadError) {
    let source = target.sources.isEmpty ? 0 : target.sources[index % target.sources.count]
    let fd = load_connect(source, target.ip, target.port, options.wantsArrival ? 1 : 0)
    guard fd >= 0 else { return failedToConnect(errno) }
    connections[index].descriptor = fd
    connections[index].stage = .connecting
    inFlight += 1
    try poller.addConnecting(fd, index: index)
  }

  private mutating func failedToConnect(_ code: Int32) {
    if tally.failedConnects == 0 { Progress.say("connect: \(String(cString: strerror(code)))") }
    tally.failedConnects += 1
    gone += 1
    sayWhenAllAreSettled()
  }

  private mutating func connectEnded(_ index: Int) throws(LoadError) {
    let fd = connections[index].descriptor
    let code = load_socket_error(fd)
    guard code == 0 else {
      close(index)
      return failedToConnect(code)
    }
    let request = target.requests[index % target.requests.count]
    let sent = send(fd, request, request.count, Int32(MSG_NOSIGNAL))
    guard sent == request.count else { return disconnected(index) }
    connections[index].stage = .waiting
    try poller.watchReadable(fd, index: index)
  }

  private mutating func subscribed(_ index: Int) {
    guard connections[index].stage == .waiting else { return }
    connections[index].stage = .subscribed
    inFlight -= 1
    tally.subscribed += 1
    sayWhenAllAreSettled()
  }

  private mutating func sayWhenAllAreSettled() {
    if tally.subscribed % 2_000 == 0 { Progress.say("subscribed \(tally.subscribed)") }
    guard timeline.subscribedNs == nil, tally.subscribed + gone == options.connections else {
      return
    }
    timeline.allSubscribed()
    let seconds = timeline.secondsFromStart(to: timeline.subscribedNs) ?? 0
    Progress.say("connected \(tally.subscribed) in \(Decimal.text(seconds, digits: 3)) s")
  }

  // MARK: Reading

  private mutating func ready(_ index: Int, _ mask: UInt32) throws(LoadError) {
    switch connections[index].stage {
    case .closed: break
    case .connecting: try connectEnded(index)
    case .waiting, .subscribed: read(index)
    }
  }

  @inline(__always)
  private mutating func read(_ index: Int) {
    var arrivedNs: Int64 = 0
    let count = load_receive(
      connections[index].descriptor, buffer.baseAddress, buffer.count, &arrivedNs)
    if count > 0 {
      tally.receives += 1
      tally.bytes += count
      parse(index, count, arrivedNs == 0 ? batchNs : arrivedNs, Clock.nowNs())
    } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
      disconnected(index)
    }
  }

  private mutating func parse(_ index: Int, _ count: Int, _ arrivedNs: Int64, _ nowNs: Int64) {
    let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    var offset = 0
    while let event = connections[index].parser.next(in: bytes, from: &offset) {
      switch event {
      case .head(let status): received(status: status, index)
      case .frame(let frame): received(frame, index, arrivedNs, nowNs)
      }
      if connections[index].stage == .closed { return }
    }
  }

  private mutating func received(status: Int, _ index: Int) {
    guard status == 200 else {
      if tally.refused == 0 { Progress.say("refused with status \(status)") }
      tally.refused += 1
      return left(index)
    }
    if options.readiness == .head { subscribed(index) }
  }

  @inline(__always)
  private mutating func received(
    _ frame: Frame, _ index: Int, _ arrivedNs: Int64, _ nowNs: Int64
  ) {
    switch frame.kind {
    case .message: receivedMessage(frame, index, arrivedNs, nowNs)
    case .connected: subscribed(index)
    case .gap: tally.gaps += 1
    case .goodbye: tally.goodbyes += 1
    case .comment: tally.comments += 1
    case .nothing: break
    }
  }

  @inline(__always)
  private mutating func receivedMessage(
    _ frame: Frame, _ index: Int, _ arrivedNs: Int64, _ nowNs: Int64
  ) {
    tally.messages += 1
    switch frame.identity {
    case .none: tally.messagesWithoutID += 1
    case .opaque: tally.opaqueIDs += 1
    case .number: tally.count(connections[index].order.received(frame.id, epoch: frame.epoch))
    }
    let stampNs = frame.stampNs == 0 ? 0 : frame.stampNs + stampOffsetNs
    latencies.record(stampNs: stampNs, arrivedNs: arrivedNs, receivedNs: nowNs)
    timeline.lastMessageNs = nowNs
    endRound(of: index, arrivedNs)
  }

  @inline(__always)
  private mutating func endRound(of index: Int, _ arrivedNs: Int64) {
    let isLast = rounds.record(Int(connections[index].received), at: arrivedNs)
    connections[index].received += 1
    if Int(connections[index].received) == options.messages { satisfied += 1 }
    if isLast && options.announcesRounds {
      Progress.say("round \(connections[index].received)")
    }
  }

  // MARK: Going

  private mutating func disconnected(_ index: Int) {
    tally.disconnects += 1
    left(index)
  }

  private mutating func left(_ index: Int) {
    if connections[index].received >= options.messages ?? .max { satisfied -= 1 }
    close(index)
    gone += 1
    sayWhenAllAreSettled()
  }

  private mutating func close(_ index: Int) {
    Glibc.close(connections[index].descriptor)
    if connections[index].stage != .subscribed { inFlight -= 1 }
    if connections[index].stage == .subscribed { tally.subscribed -= 1 }
    connections[index].stage = .closed
  }
}
