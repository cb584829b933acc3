import Glibc

/// Answers what operators and their programs ask, at an address of its own. Everything on the loop's
/// thread.
package final class AdminEndpoint {
  let clock = Clock.system
  let handler: (AdminExchange) -> Void
  private let loop: EventLoop
  private let socket: ListeningSocket
  private var exchanges: [ObjectIdentifier: AdminExchange] = [:]
  private var finished: [AdminExchange] = []
  private lazy var acceptor = Acceptor(
    loop: loop,
    take: { [unowned self] in begin($0) },
    lacksDescriptor: { [unowned self] _ in watchTime() })
  private lazy var timer = TimerWatcher(loop: loop) { [unowned self] in tick() }

  /// So many requests may be under way. Whoever comes beyond takes the place of who has its answer and does not go,
  /// or has asked for nothing, for the longest time: a probe that is not answered has the process restarted. If all
  /// others are asking, it is sent away.
  private static let maximumExchanges = 64
  private static let tickMs: Int64 = 1_000

  /// `handler` gets each request, and answers it now or later.
  package init(
    loop: EventLoop, socket: ListeningSocket, handler: @escaping (AdminExchange) -> Void
  ) {
    self.loop = loop
    self.socket = socket
    self.handler = handler
    acceptor.add(socket)
  }

  /// Where it listens.
  package var address: String { socket.address }

  private func begin(_ descriptor: Int32) {
    if exchanges.count == AdminEndpoint.maximumExchanges { evictOne() }
    guard exchanges.count < AdminEndpoint.maximumExchanges else {
      close(descriptor)
      return
    }
    let exchange = AdminExchange(descriptor: descriptor, loop: loop, endpoint: self)
    exchanges[ObjectIdentifier(exchange)] = exchange
    watchTime()
  }

  private func evictOne() {
    exchanges.values
      .compactMap { exchange in exchange.evictionRank.map { ($0, exchange.deadlineMs, exchange) } }
      .min { ($0.0, $0.1) < ($1.0, $1.1) }?
      .2.end()
  }

  private func watchTime() {
    if !timer.isActive { timer.repeatFiring(everyMs: AdminEndpoint.tickMs) }
  }

  /// Runs only while there is something to look after.
  private func tick() {
    finished = []
    acceptor.resume()
    let nowMs = clock.monotonicMs
    for exchange in exchanges.values where exchange.deadlineMs <= nowMs { exchange.end() }
    if exchanges.isEmpty && finished.isEmpty { timer.stop() }
  }

  /// It is freed by the timer, not in its own callback.
  func ended(_ exchange: AdminExchange) {
    if let exchange = exchanges.removeValue(forKey: ObjectIdentifier(exchange)) {
      finished.append(exchange)
    }
  }
}
