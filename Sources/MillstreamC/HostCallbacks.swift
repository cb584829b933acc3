import CMillstream
import Logging
import Millstream

/// Calls the host back, in C's terms.
final class HostCallbacks: @unchecked Sendable {
  /// The instance that calls; it goes before this.
  unowned var host: Host!
  /// The host has destroyed the instance: it hears no more.
  var isSilent = false
  private let options: millstream_options

  init(_ options: millstream_options) {
    self.options = options
  }

  func connect(_ instance: Instance, _ endpoint: Endpoint) {
    connectAudience(instance)
    connectLifecycle(instance)
    connectFilter(instance)
    guard let authorize = options.authorize else { return }
    let user = options.authorize_user
    endpoint.authorize = { [unowned self] question in
      let handle = authorizations.add(HostAuthorization(question, host))
      host.callOut { authorize(user, handle) }
    }
  }

  private func connectAudience(_ instance: Instance) {
    guard let audience = options.audience else { return }
    let user = options.audience_user
    instance.setAudience { [unowned self, unowned instance] label, id in
      guard let info = instance.connection(id) else { return false }
      return host.ask { info.lend { connection in audience(user, label, connection) } }
    }
  }

  private func connectLifecycle(_ instance: Instance) {
    if let connected = options.connected {
      let user = options.connected_user
      instance.onConnected { [unowned self] info in
        host.callOut { info.lend { connected(user, $0) } }
      }
    }
    if let disconnected = options.disconnected {
      let user = options.disconnected_user
      instance.onDisconnected { [unowned self] info, reason in
        let code = millstream_close_reason(UInt32(reason.rawValue))
        host.callOut { info.lend { disconnected(user, $0, code) } }
      }
    }
  }

  private func connectFilter(_ instance: Instance) {
    guard let filter = options.filter else { return }
    let user = options.filter_user
    instance.setFilter(
      MessageFilter { [unowned self] message, stream in
        host.ask {
          message.lendC { message in
            var replacement = message
            let verdict = withUnsafePointer(to: message) {
              filter(user, stream.store.code, stream.name, $0, &replacement)
            }
            switch verdict {
            case MILLSTREAM_DROP: return .drop
            case MILLSTREAM_REPLACE: return StreamMessage(replacement).map { .replace($0) } ?? .drop
            default: return .keep
            }
          }
        }
      })
  }

  // MARK: The log

  var logLevel: Logger.Level {
    switch options.log_level {
    case MILLSTREAM_LOG_DEBUG: .debug
    case MILLSTREAM_LOG_WARNING: .warning
    case MILLSTREAM_LOG_ERROR: .error
    default: .info
    }
  }

  func log(_ level: Logger.Level, _ line: String) {
    guard let log = options.log, !isSilent else { return }
    let code: millstream_log_level =
      switch level {
      case .trace, .debug: MILLSTREAM_LOG_DEBUG
      case .info, .notice: MILLSTREAM_LOG_INFO
      case .warning: MILLSTREAM_LOG_WARNING
      case .error, .critical: MILLSTREAM_LOG_ERROR
      }
    // Lines that are written while the instance is being made come before there is a host.
    guard let host else { return log(options.log_user, code, line) }
    host.callOut { log(options.log_user, code, line) }
  }
}

/// Gives lines to the host.
struct HostLogHandler: LogHandler {
  private let callbacks: HostCallbacks
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]

  init(_ callbacks: HostCallbacks) {
    self.callbacks = callbacks
  }

  subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    let pairs = all.map { " \($0)=\($1)" }.joined()
    // What a server has said can be of several lines.
    let line = "\(event.message)\(pairs)".map { $0.isNewline ? " " : $0 }
    callbacks.log(event.level, String(line))
  }
}
