import CMillstream
import Millstream

extension StoreKind {
  var code: millstream_store_kind {
    switch self {
    case .pgmq: MILLSTREAM_PGMQ
    case .native: MILLSTREAM_NATIVE
    case .host: MILLSTREAM_HOST
    }
  }

  init?(_ code: millstream_store_kind) {
    switch code {
    case MILLSTREAM_PGMQ: self = .pgmq
    case MILLSTREAM_NATIVE: self = .native
    case MILLSTREAM_HOST: self = .host
    default: return nil
    }
  }
}

extension ConnectionInfo {
  /// Lends it as C's struct for the call.
  func lend<Result>(_ body: (UnsafePointer<millstream_connection>) -> Result) -> Result {
    stream.name.withCString { stream in
      withOptionalCString(context?.member) { member in
        var connection = millstream_connection()
        connection.size = MemoryLayout<millstream_connection>.size
        connection.id = id.rawValue
        connection.store = self.stream.store.code
        connection.stream = stream
        connection.member = member
        connection.tag = context?.tag
        connection.is_blocked = isBlocked
        return withUnsafePointer(to: connection, body)
      }
    }
  }
}

extension StreamMessage {
  /// Copies what a host lends; nil: its data is not as long as it says.
  init?(_ message: millstream_message) {
    // C's size_t is negative here where it is beyond all memory.
    guard message.data_length >= 0, message.data != nil || message.data_length == 0 else {
      return nil
    }
    let data = UnsafeRawBufferPointer(start: message.data, count: message.data_length)
    self.init(
      id: message.id == 0 ? nil : message.id, event: message.event.map { String(cString: $0) },
      data: Array(data), visibleTo: message.visible_to.map { String(cString: $0) },
      exclude: message.exclude == 0 ? nil : ConnectionID(rawValue: message.exclude))
  }

  /// Lends it as C's struct for the call.
  func lendC<Result>(_ body: (millstream_message) -> Result) -> Result {
    withOptionalCString(eventName) { event in
      withOptionalCString(label) { label in
        data.withUnsafeBytes { data in
          var message = millstream_message()
          message.size = MemoryLayout<millstream_message>.size
          message.id = id ?? 0
          message.event = event
          message.data = data.baseAddress
          message.data_length = data.count
          message.visible_to = label
          message.exclude = excluded?.rawValue ?? 0
          return body(message)
        }
      }
    }
  }
}

/// A copy of what a host says of a client.
struct GivenContext {
  let context: ConnectionContext
  private let release: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?

  init(_ pointer: UnsafePointer<millstream_context>) throws(Refusal) {
    guard let given = read(pointer, size: pointer.pointee.size),
      let labels = strings(given.labels, given.label_count)
    else { throw Refusal(MILLSTREAM_INVALID_ARGUMENT) }
    release = given.release
    context = ConnectionContext(
      member: given.member.map { String(cString: $0) },
      metadata: try GivenContext.metadata(given), labels: Set(labels), tag: given.tag,
      expiresAt: given.expires_at == 0 ? nil : given.expires_at)
  }

  private static func metadata(_ given: millstream_context) throws(Refusal) -> String? {
    guard let metadata = given.metadata else { return nil }
    guard let text = String(validatingCString: metadata), ConnectionContext.isMetadata(text) else {
      throw Refusal(MILLSTREAM_INVALID_TEXT)
    }
    return text
  }

  /// Whether its end has passed.
  var isOver: Bool {
    guard let end = context.expiresAt else { return false }
    return end <= Clock.system.unixSeconds
  }

  /// The call succeeds: from now on the host is told when it goes.
  func handOver(to host: Host) {
    guard let release else { return }
    let tag = context.tag
    context.released = { [weak host] in
      if let host, host.isOnThread { host.ask { release(tag) } } else { release(tag) }
    }
  }
}

func withOptionalCString<Result>(
  _ text: String?, _ body: (UnsafePointer<CChar>?) -> Result
) -> Result {
  if let text { text.withCString(body) } else { body(nil) }
}

/// Copies `text` into `buffer`, cut to `size` bytes with the zero byte that ends it.
func copy(_ text: String, to buffer: UnsafeMutablePointer<CChar>?, size: Int) {
  guard let buffer, size > 0 else { return }
  let bytes = text.utf8.prefix(size - 1)
  for (index, byte) in bytes.enumerated() { buffer[index] = CChar(bitPattern: byte) }
  buffer[bytes.count] = 0
}
