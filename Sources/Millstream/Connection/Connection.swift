import CLibEv

/// One client, as a slot of a slab: at most 128 bytes, and nothing else while it is idle.
///
/// The watcher is the first field and the slot never moves, so libev can point into it. A slot is
/// used through a `ConnectionRef`, never copied.
struct Connection {
  /// libev's watcher; its `fd` is the client's descriptor and its `data` the `Writer`.
  var watcher: ev_io
  /// The stream that it is subscribed to; retained by the registry.
  var stream: Unmanaged<Stream>?
  /// Where it stands in the stream's log, once it is live.
  var position: UInt64
  /// What has to be sent before the log goes on, and where that comes from; retained. Nil for
  /// everyone who is up to date.
  var backlog: Unmanaged<Backlog>?
  var id: ConnectionID
  /// Its place in the stream's list for its phase.
  var memberIndex: UInt32
  /// Its own number in the table.
  var slot: UInt32
  /// Neighbours in the queue of those whose socket is full.
  var previousBlocked: UInt32
  var nextBlocked: UInt32
  /// When the last frame went out, and when it was last looked at in the queue of those whose socket
  /// is full, in seconds and milliseconds of the monotonic clock; the second wraps after 49 days,
  /// which differences survive.
  var lastDeliverySeconds: UInt32
  var lookedAtMs: UInt32
  var phase: Phase
  /// Its socket is full: it waits for the kernel to say that it is writable.
  var isBlocked: Bool
  /// The dispatcher will come by.
  var hasTurn: Bool
  /// Its opening was sent.
  var wasOpened: Bool
  var closeReason: CloseReason
  /// When it came, in seconds of the monotonic clock: its lower 24 bits, in what would be padding.
  /// Differences survive half a year.
  var cameLowSeconds: UInt8 = 0
  var cameHighSeconds: UInt16 = 0

  var cameSeconds: UInt32 {
    get { UInt32(cameHighSeconds) << 8 | UInt32(cameLowSeconds) }
    set {
      cameLowSeconds = UInt8(truncatingIfNeeded: newValue)
      cameHighSeconds = UInt16(truncatingIfNeeded: newValue >> 8)
    }
  }

  /// For how long it has been there.
  func ageSeconds(nowSeconds: UInt32) -> UInt32 { (nowSeconds &- cameSeconds) & 0xFF_FFFF }

  /// It is live, and its socket not full.
  var canTake: Bool { phase == .live && !isBlocked }

  /// Where a connection stands with its stream.
  enum Phase: UInt8 {
    /// The slot is free.
    case free
    /// Accepted; its stream is not known yet, nothing was sent.
    case opening
    /// Opened; it gets what the log lacks from the store.
    case catchingUp
    /// In the log.
    case live
    /// To be reaped before the loop sleeps.
    case closing
  }

  var descriptor: Int32 { watcher.fd }
}

/// A slot of the connection table. It stays at its address until it was reaped.
typealias ConnectionRef = UnsafeMutablePointer<Connection>

/// Why a connection ended.
public enum CloseReason: UInt8, CaseIterable, Sendable {
  /// The client closed it, or the network did.
  case clientGone
  /// The client took none of the bytes due to it for longer than the write deadline.
  case writeDeadline
  /// There was no broadcast for longer than the idle time-out.
  case idle
  /// The client was so far behind that what is due to it cannot be kept for it.
  case overtaken
  /// The instance was shut down; the client was told, if it listened.
  case shutdown
  /// The host, an operator, or the application by `millstream.close` in its database, closed it. It was told.
  case requested
  /// The client took something, but less than the minimum rate over the write deadline.
  case tooSlow
  /// The kernel gave it up: the other side acknowledged nothing any more, or took nothing. So ends
  /// who was killed or cut off without a word.
  case timedOut
  /// What let the client in has expired: its token, or the application's permission. It was told.
  case expired
}
