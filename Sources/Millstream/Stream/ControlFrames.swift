/// The frames that carry no message. None has an `id:`, so none moves a client's cursor.
enum ControlFrames {
  /// What a connection gets first. `retryMs` is what the browser waits before it reconnects;
  /// `since` is the cursor as understood (0 for none); `name` must hold no line break.
  static func opening(
    retryMs: Int64, since: Int64, name: String, connection: ConnectionID
  ) -> [UInt8] {
    let text = """
      retry: \(retryMs)

      : pgbus stream open since_id=\(since) stream=\(name)

      event: pgbus:connected
      data: {"connectionId":"\(connection)"}


      """
    return Array(text.utf8)
  }

  /// A comment that keeps proxies from closing the connection, and tells when the client is gone.
  static func heartbeat(unixSeconds: Int64) -> [UInt8] {
    Array(": heartbeat \(unixSeconds)\n\n".utf8)
  }

  /// Said before the first event that the client can have when there are some that it cannot.
  /// `oldest` is the lowest id that there is (nil: it is not known); `reason` is `reset` where the
  /// ids have begun anew.
  static func gap(lastSeen: Int64, oldest: Int64?, reason: String? = nil) -> [UInt8] {
    let reasonMember = reason.map { #","reason":"\#($0)""# } ?? ""
    let data =
      #"{"lastSeenId":\#(lastSeen),"archiveOldestId":\#(oldest ?? 0)\#(reasonMember)}"#
    return Array("event: pgbus:gap-detected\ndata: \(data)\n\n".utf8)
  }

  /// The last frame of one whose permission is over: it shall come back with a new one. It has no word of
  /// pgbus's, which has nothing like it.
  static let expired = Array(
    """
    event: millstream:expired
    data: {"reason":"expired"}


    """.utf8)

  /// The last frame: the server goes, the client shall come back.
  static let goodbye = Array(
    """
    event: pgbus:shutdown
    data: {"reason":"worker_restart"}


    """.utf8)
}
