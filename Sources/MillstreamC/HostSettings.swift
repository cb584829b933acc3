import CMillstream
import Millstream

/// The options of an instance, copied from the host's structs.
struct HostSettings {
  enum Kind { case borrowed, polled, thread }

  /// Why options cannot be used.
  struct Fault: Error, CustomStringConvertible {
    let result: millstream_result
    let description: String
  }

  let kind: Kind
  /// The host's, where it is borrowed.
  let loop: OpaquePointer?
  let configuration: Configuration
  let endpoint: EndpointConfiguration
  let store: millstream_store?
  let callbacks: millstream_options

  init(_ options: millstream_options) throws(Fault) {
    callbacks = options
    kind = try HostSettings.kind(of: options)
    loop = kind == .borrowed ? options.loop : nil
    store = try HostSettings.store(of: options)
    let configuration = try HostSettings.configuration(of: options)
    guard store != nil || !configuration.stores.isEmpty else {
      throw Fault(
        result: MILLSTREAM_INVALID_ARGUMENT, description: "neither a database nor a store was given"
      )
    }
    self.configuration = configuration
    endpoint = try HostSettings.endpoint(of: options, hasStore: store != nil)
  }

  private static func kind(of options: millstream_options) throws(Fault) -> Kind {
    switch options.loop_kind {
    case MILLSTREAM_LOOP_POLLED: return .polled
    case MILLSTREAM_LOOP_THREAD: return .thread
    case MILLSTREAM_LOOP_BORROWED where options.loop != nil: return .borrowed
    default:
      throw Fault(result: MILLSTREAM_INVALID_ARGUMENT, description: "no loop was given")
    }
  }

  private static func store(of options: millstream_options) throws(Fault) -> millstream_store? {
    guard let given = options.store else { return nil }
    let store = read(given, size: given.pointee.size)
    guard let store, store.position != nil, store.read != nil else {
      throw Fault(result: MILLSTREAM_INVALID_ARGUMENT, description: "the store is not complete")
    }
    return store
  }

  private static func configuration(
    of options: millstream_options
  ) throws(Fault) -> Configuration {
    var configuration = Configuration()
    configuration.stores = []
    if let database = options.database {
      configuration.database = String(cString: database)
      let given = options.stores == 0 ? UInt32.max : options.stores
      if given & MILLSTREAM_PGMQ.rawValue != 0 { configuration.stores.insert(.pgmq) }
      if given & MILLSTREAM_NATIVE.rawValue != 0 { configuration.stores.insert(.native) }
    }
    configuration.listenDatabase = options.listen_database.map { String(cString: $0) }
    if let prefix = options.queue_prefix { configuration.queuePrefix = String(cString: prefix) }
    try set(&configuration.heartbeatMs, options.heartbeat_ms)
    try set(&configuration.idleTimeoutMs, options.idle_timeout_ms, orNever: true)
    try set(&configuration.writeDeadlineMs, options.write_deadline_ms)
    try set(&configuration.safetyPollMs, options.safety_poll_ms, orNever: true)
    try set(&configuration.retryMs, options.retry_ms)
    if options.max_connections > 0 { configuration.maxConnections = options.max_connections }
    if options.log_bytes > 0 { configuration.logBytes = options.log_bytes }
    try set(&configuration.holeWaitMs, options.hole_wait_ms, orNever: true)
    let rate = options.minimum_rate_bytes_per_second
    if rate != 0 { configuration.minimumRateBytesPerSecond = min(max(rate, 0), highestRate) }
    try setWriting(&configuration, options)
    return configuration
  }

  /// What is written to Postgres.
  private static func setWriting(
    _ configuration: inout Configuration, _ options: millstream_options
  ) throws(Fault) {
    configuration.presencePatterns = try list(
      options.presence_patterns, options.presence_pattern_count)
    try set(&configuration.presenceGraceMs, options.presence_grace_ms, orNever: true)
    configuration.writesStatistics = options.writes_statistics
  }

  private static func endpoint(
    of options: millstream_options, hasStore: Bool
  ) throws(Fault) -> EndpointConfiguration {
    var endpoint = EndpointConfiguration()
    if let prefix = options.pgmq_prefix { endpoint.pgmqPrefix = String(cString: prefix) }
    if let prefix = options.native_prefix { endpoint.nativePrefix = String(cString: prefix) }
    if hasStore { endpoint.hostPrefix = options.host_prefix.map { String(cString: $0) } ?? "/host" }
    if let prefix = options.queue_prefix { endpoint.queuePrefix = String(cString: prefix) }
    for text in try list(options.secrets, options.secret_count) {
      endpoint.secrets.append(try secret(text))
    }
    endpoint.publicPatterns = try list(options.public_patterns, options.public_pattern_count)
    endpoint.allowedOrigins = try list(options.allowed_origins, options.allowed_origin_count)
    try set(&endpoint.headTimeoutMs, options.head_timeout_ms)
    // As millstream.h has it: 503.
    endpoint.refusesSoftly = .never
    return endpoint
  }

  private static func list(
    _ base: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int
  ) throws(Fault) -> [String] {
    guard let strings = strings(base, count) else {
      throw Fault(result: MILLSTREAM_INVALID_ARGUMENT, description: "a list of strings has a NULL")
    }
    return strings
  }

  /// As a line of a secrets file.
  private static func secret(_ text: String) throws(Fault) -> [UInt8] {
    do {
      let secrets = try SignedNames.secrets(fromLines: Array(text.utf8))
      if secrets.count == 1 { return secrets[0] }
    } catch {
      throw Fault(result: MILLSTREAM_INVALID_TEXT, description: "\(error)")
    }
    throw Fault(
      result: MILLSTREAM_INVALID_TEXT, description: "a secret is empty, a comment, or several lines"
    )
  }

  /// Longer than anything is waited for, and short enough to be added to any time.
  static let longestMs: Int64 = 366 * 24 * 3_600_000

  /// No client is faster, and it can be multiplied by a time.
  private static let highestRate: Int64 = 1_000_000_000

  /// 0 is the default, and less than that never, or no time at all, where that is possible.
  private static func set(
    _ value: inout Int64, _ given: Int64, orNever: Bool = false
  ) throws(Fault) {
    if given < 0 && !orNever {
      throw Fault(result: MILLSTREAM_INVALID_ARGUMENT, description: "a time is negative")
    }
    if given != 0 { value = min(max(given, 0), longestMs) }
  }
}

/// An array of C strings; nil: it is none, or one of them is NULL. `count` is C's size_t, and negative
/// where that is beyond all arrays.
func strings(_ base: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int) -> [String]? {
  if count == 0 { return [] }
  guard let base, count > 0 else { return nil }
  var strings: [String] = []
  for index in 0..<count {
    guard let string = base[index] else { return nil }
    strings.append(String(cString: string))
  }
  return strings
}

/// A struct that begins with its size, of which a program that was compiled with an older header gives the
/// beginning only; what it does not give is zero. Nil: no such struct has that size.
func read<Struct>(_ pointer: UnsafePointer<Struct>, size: Int) -> Struct? {
  let own = MemoryLayout<Struct>.size
  guard size >= MemoryLayout<Int>.size, size <= own else { return nil }
  return withUnsafeTemporaryAllocation(of: Struct.self, capacity: 1) { buffer in
    let bytes = UnsafeMutableRawBufferPointer(buffer)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    bytes.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: size))
    return buffer[0]
  }
}
