import Logging
import Millstream

/// Fetches the keys of tokens from a URL, now and then, and when a token names one that is not known.
final class TokenKeySource {
  struct Settings: Sendable {
    var url: String
    var refreshMs: Int64
    /// Those from files, which stay.
    var otherKeys: [TokenKey]
  }

  private var settings: Settings
  private let client: HTTPClient
  private let logger: Logger
  private let came: ([TokenKey]?) -> Void
  private let clock = Clock.system
  private let loop: EventLoop
  private var isFetching = false
  /// Those of the last fetch that went well.
  private var fetchedKeys: [TokenKey] = []
  private var lastFetchMs: Int64 = .min / 2
  private var failureCount = 0
  private lazy var timer = TimerWatcher(loop: loop) { [unowned self] in fetch() }

  private static let timeoutMs: Int64 = 5_000
  /// Tokens that name unknown keys, which anybody can make, do not fetch more often than that.
  private static let leastPauseMs: Int64 = 5_000

  /// `came` gets all keys after each fetch; nil: it has failed.
  init(
    _ settings: Settings, loop: EventLoop, client: HTTPClient, logger: Logger,
    came: @escaping ([TokenKey]?) -> Void
  ) {
    self.settings = settings
    self.loop = loop
    self.client = client
    self.logger = logger
    self.came = came
  }

  /// Fetches for the first time, and from then on again and again.
  func start() { fetch() }

  func stop() { timer.stop() }

  /// The files have been read again: what was fetched stays valid beside what is in them now. Nobody who
  /// waits for a fetch has got an answer with that.
  func filesChanged(_ otherKeys: [TokenKey]) -> [TokenKey] {
    settings.otherKeys = otherKeys
    return otherKeys + fetchedKeys
  }

  /// Whether keys are on their way, for a token that names an unknown one.
  func fetchesForUnknownKey() -> Bool {
    let pauseMs = min(TokenKeySource.leastPauseMs, settings.refreshMs)
    if !isFetching && clock.monotonicMs - lastFetchMs >= pauseMs { fetch() }
    return isFetching
  }

  private func fetch() {
    guard !isFetching else { return }
    isFetching = true
    lastFetchMs = clock.monotonicMs
    let request = HTTPRequest(
      url: settings.url, fields: ["Accept: application/jwk-set+json, application/json"],
      timeoutMs: TokenKeySource.timeoutMs, maximumBytes: TokenKey.maximumSetBytes,
      mayUseProxy: true)
    client.get(request) { [unowned self] in fetched($0) }
  }

  private func fetched(_ outcome: HTTPOutcome) {
    isFetching = false
    do {
      let keys = try keys(in: outcome)
      failureCount = 0
      timer.fire(afterMs: settings.refreshMs)
      fetchedKeys = keys
      came(settings.otherKeys + keys)
    } catch {
      failureCount += 1
      logger.warning("cannot fetch the keys of tokens", metadata: ["reason": "\(error)"])
      timer.fire(afterMs: min(1_000 << Int64(min(failureCount - 1, 6)), settings.refreshMs))
      came(nil)
    }
  }

  private func keys(in outcome: HTTPOutcome) throws -> [TokenKey] {
    switch outcome {
    case .failure(let reason): throw OperatingFailure(reason)
    case .response(200, _, let body?, _): return try keys(in: body)
    case .response(200, _, nil, _): throw TokenKeyError.setTooLong
    case .response(let status, _, _, _): throw OperatingFailure("status \(status)")
    }
  }

  /// An issuer that has withdrawn all of its keys says so with an empty set, and means it.
  private func keys(in body: [UInt8]) throws -> [TokenKey] {
    do throws(TokenKeyError) {
      return try TokenKey.keys(fromJWKS: body, allowsSecrets: false)
    } catch .emptySet {
      logger.warning("the set of keys for tokens is empty: all that it had are withdrawn")
      return []
    }
  }
}
