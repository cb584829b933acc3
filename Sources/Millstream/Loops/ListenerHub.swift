import Logging

/// One LISTEN session for all loops of a process: each session that listens costs every commit that
/// notifies a wake-up of its backend.
///
/// It lives on the first loop, is that loop's own source, and has the others (`RemoteListener`) told what
/// they want to hear: a loop that has no subscriber to a stream is not even woken. Between the threads is a
/// `LoopLink` for each, and nothing else.
package final class ListenerHub: NotificationSource {
  /// So many bytes wait for a loop. It has missed seconds of everything when that is reached.
  static let waitingLimitBytes = 8 * 1024 * 1024

  /// What the hub knows of another loop.
  private struct Port {
    let link: LoopLink
    /// What it wants.
    var tickets: [String: UInt64] = [:]
    /// What goes into its inbox before the hub's loop sleeps: one lock and one wake-up for many.
    var outgoing: [NotificationInbox.Entry] = []
  }

  private let listener: Listener
  private let loop: EventLoop
  private let limitBytes: Int
  private let wishesBell = Doorbell()
  private var ports: [Port] = []
  /// The ports that want a channel.
  private var portsByChannel: [String: [Int]] = [:]

  /// A hub on `loop`, which the first instance has to run on, with the LISTEN session that
  /// `configuration` describes.
  ///
  /// - Throws: what is wrong with the connection string.
  package convenience init(
    loop: EventLoop, configuration: Configuration, logger: Logger
  ) throws(ConfigurationError) {
    let session = try PostgresSession.listening(configuration, on: loop, logger: logger)
    self.init(Listener(session: session), loop: loop)
  }

  init(_ listener: Listener, loop: EventLoop, limitBytes: Int = ListenerHub.waitingLimitBytes) {
    self.listener = listener
    self.loop = loop
    self.limitBytes = limitBytes
    super.init()
    listener.ready = { [unowned self] in tellAll(.expected) }
    listener.lost = { [unowned self] in sessionLost() }
    listener.listening = { [unowned self] in sessionListens(to: $0) }
    listener.notified = { [unowned self] in sessionNotified($0, $1) }
    wishesBell.install(on: loop) { [unowned self] in takeWishes() }
  }

  deinit {
    wishesBell.remove()
  }

  override var ownSession: PostgresSession? { listener.session }

  /// What an instance on `loop` hears with. To be asked before any of the loops runs.
  func source(for loop: EventLoop) -> NotificationSource {
    if loop === self.loop { return self }
    let link = LoopLink(limitBytes: limitBytes, wishesBell: wishesBell)
    ports.append(Port(link: link))
    return RemoteListener(link, loop: loop, isExpected: listener.isExpected)
  }

  // MARK: As the source of its own loop

  override var isExpected: Bool { listener.isExpected }

  override func start() {
    listener.start()
  }

  /// The other loops hear nothing any more; those that ask still may.
  override func stop() {
    listener.stop()
    wishesBell.remove()
    postOutgoing()
  }

  override func add(_ channel: String) {
    listener.add(channel)
  }

  override func remove(_ channel: String) {
    listener.remove(channel)
  }

  override func flush() {
    listener.flush()
    postOutgoing()
  }

  override func isListening(to channels: [String]) -> Bool {
    listener.isListening(to: channels)
  }

  // MARK: From the session to the other loops

  private func sessionLost() {
    tellAll(.lost)
    lost()
  }

  private func tellAll(_ entry: NotificationInbox.Entry) {
    for index in ports.indices { ports[index].outgoing.append(entry) }
  }

  private func sessionListens(to channels: [String]) {
    var heard: [Int: [NotificationInbox.Heard]] = [:]
    for channel in channels {
      for index in portsByChannel[channel] ?? [] {
        guard let ticket = ports[index].tickets[channel] else { continue }
        heard[index, default: []].append(.init(channel: channel, ticket: ticket))
      }
    }
    for (index, heard) in heard { ports[index].outgoing.append(.listening(heard)) }
    listening(channels)
  }

  private func sessionNotified(_ channel: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer)
  {
    // The native channel's name is short enough to be a string without an allocation.
    if let wanting = portsByChannel[String(decoding: channel, as: UTF8.self)] {
      forward(channel, payload, to: wanting)
    }
    notified(channel, payload)
  }

  private func forward(
    _ channel: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, to wanting: [Int]
  ) {
    var mark: StreamMarks.Mark?
    if channel.elementsEqual(NativeSchema.channel.utf8) {
      // What names no stream is dropped by every loop, and is counted by this one.
      guard let name = NativePayload.streamName(in: payload) else { return }
      mark = StreamMarks.Mark(name)
    }
    var shared: NotificationInbox.Entry?
    for index in wanting {
      if let mark, !ports[index].link.streams.mayHold(mark) { continue }
      let entry = shared ?? .notified(SharedNotification(channel: channel, payload: payload))
      shared = entry
      ports[index].outgoing.append(entry)
    }
  }

  private func postOutgoing() {
    for index in ports.indices where !ports[index].outgoing.isEmpty { post(toPort: index) }
  }

  private func post(toPort index: Int) {
    let link = ports[index].link
    let outgoing = ports[index].outgoing
    ports[index].outgoing = []
    if !link.inbox.put(outgoing) {
      let missing = outgoing.reduce(0) { $0 + $1.notificationCount }
      link.inbox.restart(with: whatHolds(forPort: index), missing: missing)
    }
    link.inboxBell.ring()
  }

  /// As after a reconnect: the loop looks at everything.
  private func whatHolds(forPort index: Int) -> [NotificationInbox.Entry] {
    if !listener.isExpected { return [.lost] }
    let heard = ports[index].tickets.filter { listener.isListening(to: [$0.key]) }
      .map { NotificationInbox.Heard(channel: $0.key, ticket: $0.value) }
    return [.lost, .expected] + (heard.isEmpty ? [] : [.listening(heard)])
  }

  // MARK: From the other loops to the session

  /// Called by the bell; the session is asked before the loop sleeps.
  private func takeWishes() {
    for index in ports.indices {
      if ports[index].link.wishes.isClosed { forget(port: index) }
      var heard: [NotificationInbox.Heard] = []
      for (channel, change) in ports[index].link.wishes.take() {
        guard let ticket = change.ticket else {
          dismiss(channel, port: index)
          continue
        }
        want(channel, ticket: ticket, port: index)
        // Another loop has it already.
        if listener.isListening(to: [channel]) {
          heard.append(.init(channel: channel, ticket: ticket))
        }
      }
      if !heard.isEmpty { ports[index].outgoing.append(.listening(heard)) }
    }
  }

  private func want(_ channel: String, ticket: UInt64, port index: Int) {
    guard ports[index].tickets.updateValue(ticket, forKey: channel) == nil else { return }
    portsByChannel[channel, default: []].append(index)
    listener.add(channel)
  }

  private func dismiss(_ channel: String, port index: Int) {
    guard ports[index].tickets.removeValue(forKey: channel) != nil else { return }
    portsByChannel[channel]?.removeAll { $0 == index }
    if portsByChannel[channel]?.isEmpty == true { portsByChannel[channel] = nil }
    listener.remove(channel)
  }

  private func forget(port index: Int) {
    for channel in Array(ports[index].tickets.keys) { dismiss(channel, port: index) }
    ports[index].outgoing = []
  }
}
