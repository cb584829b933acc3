/// Which connections are to be closed.
package enum CloseTarget: Hashable, Sendable, CustomStringConvertible {
  case connection(ConnectionID)
  case member(String)
  case stream(StreamIdentity)

  /// For the log.
  package var description: String {
    switch self {
    case .connection(let id): "connection \(id)"
    case .member(let member): "member \(member)"
    case .stream(let stream): "\(stream.store) stream \(stream.name)"
    }
  }
}
