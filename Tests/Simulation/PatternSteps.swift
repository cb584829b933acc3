@testable import Millstream

/// Streams that nobody has heard of, and clients that wait for their opening while something happens.
extension World {
  /// How many come beside those that there are at first.
  private static let mostNewcomers = 12

  /// A native stream that is new, by its first messages, or by something that is stored nowhere.
  func appear() {
    guard newcomers < World.mostNewcomers else { return }
    newcomers += 1
    let queue = SimulatedQueue(store: .native, name: nativeName(postgres.queues.count))
    postgres.add(queue)
    trace("\(queue.name) appears")
    if random.once(in: 3) {
      sendEphemeral(to: queue)
    } else {
      publishAtOnce(random.number(1..<4), to: queue)
    }
  }

  /// Some of them fit patterns.
  func nativeName(_ number: Int) -> String {
    random.pick(["room:\(number)", "desk \(number)", "ü/\(number)"])!
  }

  /// Clients with the same patterns come one after the other, and what there is is decided for each; then
  /// there is more, before any of them knows.
  func beInSuspense() {
    guard reads.isReady, listens.isReady, carriers.count < 3 else { return }
    calm(ticks: 2)
    var wishes = SimulatedCarrier.Wishes(store: .native)
    addPatterns(&wishes)
    if random.once(in: 2) { addQueues(&wishes) }
    for _ in 0..<random.number(1..<3) {
      connect(wishes)
      turn()
      while reads.hasUnexecuted { reads.execute() }
    }
    for _ in 0..<random.number(1..<3) { appear() }
    deliverNotifications(.max)
    shared?.passOn()
    for _ in 0..<random.number(0..<4) { reads.answer() }
    if habit == .prompt && random.once(in: 2) { bePrompt() }
  }

  /// A stream begins anew while a client waits for another, or for what fits its pattern.
  func beRebornUnopened() {
    guard reads.isReady, listens.isReady, carriers.count < 3,
      let queue = random.pick(candidatesForRebirth)
    else { return }
    connect(to: queue, nil)
    calm(ticks: 4)
    publishAtOnce(random.number(1..<4), to: queue)
    calm(ticks: 4)
    guard !postgres.isLocked(queue), queue.current != nil else { return }
    keepWaiting(queue)
    let before = min(Int(queue.current?.lastID ?? 0), 100)
    recreate(queue)
    publishAtOnce(random.once(in: 2) ? before + 1 : random.number(1..<9), to: queue)
    for _ in 0..<random.number(1..<30) {
      tick()
      deliverNotifications(.max)
      shared?.passOn()
      while reads.hasUnexecuted { reads.execute() }
      while reads.hasAnswers { reads.answer() }
      turn()
    }
  }

  /// A client comes that wants `queue` and something else that is not known soon.
  private func keepWaiting(_ queue: SimulatedQueue) {
    var wishes = SimulatedCarrier.Wishes(store: queue.store)
    wishes.queues.append((queue, random.once(in: 2) ? nil : chosenCursor(of: queue)))
    if queue.store == .native {
      wishes.patterns = ["*"]
    } else if let other = random.pick(postgres.queues.filter { isUnheard($0) }) {
      wishes.queues.append((other, nil))
    }
    connect(wishes)
    turn()
    if reads.unexecuted is StreamListQuery { reads.execute(refusal: "55P03") }
  }

  /// The LISTEN for a queue that nobody is subscribed to has to be answered first.
  private func isUnheard(_ queue: SimulatedQueue) -> Bool {
    queue.store == .pgmq && !listens.channels.contains(queue.channel)
  }
}
