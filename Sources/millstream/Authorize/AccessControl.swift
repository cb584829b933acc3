import Logging
import Millstream

/// Who is asked who may listen, on one loop: the application, a URL with keys, or nobody.
final class AccessControl {
  struct Settings: Sendable {
    var application: ApplicationAuthorizer.Settings?
    var keys: TokenKeySource.Settings?
  }

  private unowned let endpoint: Endpoint
  private let client: HTTPClient
  private let authorizer: ApplicationAuthorizer?
  private let keySource: TokenKeySource?

  /// Nil: nobody is asked.
  init?(
    _ settings: Settings, loop: EventLoop, instance: Instance, endpoint: Endpoint, logger: Logger
  ) {
    guard settings.application != nil || settings.keys != nil else { return nil }
    self.endpoint = endpoint
    // One more for the keys.
    let client = HTTPClient(loop: loop, connections: (settings.application?.concurrency ?? 0) + 1)
    self.client = client
    authorizer = settings.application.map {
      ApplicationAuthorizer($0, client: client, logger: logger) { [unowned instance] in
        instance.authorizationFailed()
      }
    }
    keySource = settings.keys.map {
      TokenKeySource($0, loop: loop, client: client, logger: logger) { [unowned endpoint] in
        endpoint.tokenKeysCame($0)
      }
    }
    if let authorizer {
      endpoint.authorize = { [unowned authorizer] in authorizer.ask($0) }
      endpoint.authorizesPatterns = true
    }
    if let keySource {
      endpoint.fetchesTokenKeys = { [unowned keySource] in keySource.fetchesForUnknownKey() }
    }
  }

  func start() { keySource?.start() }

  /// The keys of tokens that are in files have changed.
  func filesChanged(_ otherKeys: [TokenKey]) {
    if let keySource { endpoint.use(keySource.filesChanged(otherKeys)) }
  }

  /// Nobody is asked any more; the endpoint has to be stopped before.
  func stop() {
    keySource?.stop()
    client.stop()
  }
}
