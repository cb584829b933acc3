/// The frames that carry no message. None has an `id:`, so none moves a client's cursor; where a connection
/// carries several streams, that of its opening says where it begins.
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

  /// What a connection gets first that carries several streams: for each that was asked for its name and
  /// where it begins, or the status that refuses it (`entries`, in JSON). `cursor` is a line of where it begins
  /// in all of them.
  static func opening(
    retryMs: Int64, entries: [String], cursor: [UInt8], connection: ConnectionID
  ) -> [UInt8] {
    let streams = entries.joined(separator: ",")
    let text = """
      retry: \(retryMs)

      : millstream open streams=\(entries.count)

      \(String(decoding: cursor, as: UTF8.self))
      event: pgbus:connected
      data: {"connectionId":"\(connection)","streams":[\(streams)]}


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

  /// So many bytes of a reason are told.
  static let longestReasonBytes = 512

  /// The last frame of a connection that the application, the host or an operator has closed, or of one of
  /// its streams; behind an `id:` line it names the stream. `reason` is what they say; nil: nothing.
  static func closed(reason: String?) -> [UInt8] {
    let json = JSONString.encode(cut(reason ?? "closed"))
    return Array("event: millstream:closed\ndata: {\"reason\":".utf8) + json + Array("}\n\n".utf8)
  }

  /// Not in the middle of a character.
  private static func cut(_ text: String) -> ArraySlice<UInt8> {
    var bytes = Array(text.utf8)[...]
    guard bytes.count > longestReasonBytes else { return bytes }
    var end = longestReasonBytes
    while bytes[end] & 0xc0 == 0x80 { end -= 1 }
    bytes = bytes[..<end]
    return bytes
  }

  /// The last frame: the server goes, the client shall come back.
  static let goodbye = Array(
    """
    event: pgbus:shutdown
    data: {"reason":"worker_restart"}


    """.utf8)
}
