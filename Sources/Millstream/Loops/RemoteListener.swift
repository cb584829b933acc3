/// Hears by another loop's LISTEN session: passes on to the hub what its loop wants, and to its loop what
/// comes back.
final class RemoteListener: NotificationSource {
  private let link: LoopLink
  private var wanted: [String: (count: Int, ticket: UInt64)] = [:]
  private var heard: Set<String> = []
  private var nextTicket: UInt64 = 1
  private var hasWished = false
  private var isHubExpected: Bool
  private var isStopped = false
  /// What was taken and is worked off in slices, so that other things come in between.
  private var batch: [NotificationInbox.Entry] = []
  private var next = 0
  private static let entriesInSlice = 256

  /// `isExpected`: what the hub's session says of itself now.
  init(_ link: LoopLink, loop: EventLoop, isExpected: Bool) {
    self.link = link
    isHubExpected = isExpected
    super.init()
    link.inboxBell.install(on: loop) { [unowned self] in runSlice() }
  }

  deinit {
    disconnect()
  }

  override var isExpected: Bool { isHubExpected }

  /// The hub is told at once: nothing says that this loop comes by again.
  override func stop() {
    if isStopped { return }
    isStopped = true
    disconnect()
    sessionLost()
  }

  private func disconnect() {
    link.inboxBell.remove()
    link.inbox.close()
    link.wishes.close()
    link.wishesBell.ring()
  }

  override func add(_ channel: String) {
    wanted[channel, default: (0, 0)].count += 1
    guard wanted[channel]?.count == 1, !isStopped else { return }
    wanted[channel]?.ticket = nextTicket
    link.wishes.add(channel, ticket: nextTicket)
    nextTicket += 1
    hasWished = true
  }

  override func remove(_ channel: String) {
    guard let count = wanted[channel]?.count else { return }
    if count > 1 {
      wanted[channel]?.count = count - 1
      return
    }
    wanted[channel] = nil
    heard.remove(channel)
    if isStopped { return }
    link.wishes.remove(channel)
    hasWished = true
  }

  override func addNativeStream(_ name: [UInt8]) {
    link.streams.add(name)
  }

  override func removeNativeStream(_ name: [UInt8]) {
    link.streams.remove(name)
  }

  override func wantAllNativeStreams() {
    link.streams.holdsAll = true
  }

  override func wantKnownNativeStreams() {
    link.streams.holdsAll = false
  }

  override func flush() {
    guard hasWished else { return }
    hasWished = false
    link.wishesBell.ring()
  }

  override func isListening(to channels: [String]) -> Bool {
    channels.allSatisfy(heard.contains)
  }

  // MARK: What the hub says

  private func runSlice() {
    if next == batch.count {
      batch = link.inbox.take()
      next = 0
    }
    let end = min(next + RemoteListener.entriesInSlice, batch.count)
    while next < end && !isStopped {
      next += 1
      take(batch[next - 1])
    }
    if next < batch.count { return link.inboxBell.ring() }
    batch = []
    next = 0
    // Whoever put something in while the batch lasted may have rung for a slice of it.
    if !link.inbox.isEmpty { link.inboxBell.ring() }
  }

  private func take(_ entry: NotificationInbox.Entry) {
    switch entry {
    case .notified(let notification): notification.lend { notified($0, $1) }
    case .listening(let channels): sessionListens(to: channels)
    case .expected: isHubExpected = true
    case .lost: sessionLost()
    case .dropped(let count): dropped(count)
    }
  }

  private func sessionLost() {
    heard = []
    isHubExpected = false
    lost()
  }

  /// A channel that was given back and is wanted again counts from the later LISTEN on.
  private func sessionListens(to channels: [NotificationInbox.Heard]) {
    let current = channels.filter { wanted[$0.channel]?.ticket == $0.ticket }.map(\.channel)
    heard.formUnion(current)
    if !current.isEmpty { listening(current) }
  }
}
