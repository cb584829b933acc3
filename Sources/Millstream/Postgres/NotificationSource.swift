/// Where an instance hears from that something was published: a LISTEN session of its own (`Listener`),
/// or the one that the loops of a process share (`ListenerHub` on the first, `RemoteListener` on the
/// others). A class, so that the way of a notification has no existential in it.
///
/// Everything on the loop's thread.
package class NotificationSource {
  /// A notification: channel and payload, borrowed.
  var notified: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void = { _, _ in }
  /// From here on what is sent on these channels is heard; what was sent on them before is lost.
  var listening: ([String]) -> Void = { _ in }
  /// The session broke: nothing is heard until it is back.
  var lost: () -> Void = {}
  /// So many notifications did not come through to here. `lost` and `listening` follow.
  var dropped: (Int) -> Void = { _ in }

  /// The LISTEN session, on the loop that has it.
  var ownSession: PostgresSession? { nil }

  /// Whether a session is there, or comes soon as far as is known.
  var isExpected: Bool { false }

  func start() {}

  func stop() {}

  /// Channels are counted: each `add` has its `remove`.
  func add(_ channel: String) {}

  func remove(_ channel: String) {}

  /// Somebody may be subscribed to this stream from here on: what is sent on the channel that all native
  /// streams share need only come through for those. Whoever adds one looks at it after that, and so
  /// knows what came before.
  func addNativeStream(_ name: [UInt8]) {}

  func removeNativeStream(_ name: [UInt8]) {}

  /// Everything on that channel has to come through from here on, as streams may be wanted that are not
  /// known yet.
  func wantAllNativeStreams() {}

  /// What was added is enough again.
  func wantKnownNativeStreams() {}

  /// Passes on what has changed since the last call. Called before the loop sleeps.
  func flush() {}

  /// Whether what is sent on all of `channels` from now on is heard.
  func isListening(to channels: [String]) -> Bool { false }
}
