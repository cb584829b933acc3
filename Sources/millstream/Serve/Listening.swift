import Logging
import Millstream

/// Where clients come to: addresses, or inherited sockets, which take their place.
struct Listening {
  var addresses: [ListenAddress]
  /// Other processes listen there, too.
  var isShared = false
  var inherited = InheritedSockets()

  /// Whether there is somebody to take clients when this process does not any more.
  var isContinued: Bool { isShared || !inherited.clients.isEmpty }

  /// For each address a socket for each of `loops`.
  ///
  /// - Throws: why an address cannot be had.
  func sockets(loops: Int) throws(ConfigurationError) -> [[ListeningSocket]] {
    var sockets: [[ListeningSocket]] = []
    for descriptor in inherited.clients {
      sockets.append(try ListeningSocket.inherited(descriptor, count: loops))
    }
    if !sockets.isEmpty { return sockets }
    for address in addresses {
      sockets.append(try address.listen(loops: loops, isShared: isShared))
    }
    return sockets
  }

  /// The socket of the admin address; nil: none, or not yet.
  ///
  /// - Throws: why the address cannot be had.
  func adminSocket(
    _ address: AdminAddress, logger: Logger
  ) throws(ConfigurationError) -> ListeningSocket? {
    if let descriptor = inherited.admin { return try ListeningSocket.inherited(descriptor)[0] }
    return try address.listen(logger: logger)
  }
}
