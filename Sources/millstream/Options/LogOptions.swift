import ArgumentParser
import Glibc
import Logging
import Synchronization

/// How much is logged, and in which form. Logs go to standard error.
struct LogOptions: ParsableArguments {
  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel: Logger.Level = .info

  @Option(help: "text or json.")
  var logFormat: Format = .text

  static let environmentOptions: [EnvironmentOption] = [.value("log-level"), .value("log-format")]

  func makeLogger() -> Logger {
    LogOptions.logger(logLevel, logFormat)
  }

  static func logger(_ level: Logger.Level, _ format: Format) -> Logger {
    var logger = Logger(label: "millstream") { _ in StderrLogHandler(format: format) }
    logger.logLevel = level
    return logger
  }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}

/// One line for each event, to standard error.
struct StderrLogHandler: LogHandler {
  let format: LogOptions.Format
  /// One for all copies of a logger, so that it can change while it runs.
  private let level = SharedLogLevel()
  var metadata: Logger.Metadata = [:]

  init(format: LogOptions.Format) {
    self.format = format
  }

  var logLevel: Logger.Level {
    get { level.value }
    set { level.value = newValue }
  }

  subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    let line =
      switch format {
      case .text: textLine(event, all)
      case .json: jsonLine(event, all)
      }
    // One write for each line: lines of several threads do not mix.
    _ = write(STDERR_FILENO, line, line.utf8.count)
  }

  private func textLine(_ event: LogEvent, _ metadata: [(key: String, value: Logger.MetadataValue)])
    -> String
  {
    let pairs = metadata.map { key, value in
      let text = "\(value)"
      let isPlain =
        !text.isEmpty && !text.contains { $0.isWhitespace || $0 == "\"" }
        && !text.unicodeScalars.contains(where: StderrLogHandler.isControl)
      return " \(key)=" + (isPlain ? text : StderrLogHandler.quoted(text))
    }
    return "\(UTCTime.now) \(event.level) \(event.message)\(pairs.joined())\n"
  }

  private func jsonLine(_ event: LogEvent, _ metadata: [(key: String, value: Logger.MetadataValue)])
    -> String
  {
    let fields = [
      ("time", "\(UTCTime.now)"), ("level", "\(event.level)"), ("message", "\(event.message)"),
    ]
    let members = (fields + metadata.map { ($0.key, "\($0.value)") })
      .map { StderrLogHandler.quoted($0.0) + ":" + StderrLogHandler.quoted($0.1) }
    return "{" + members.joined(separator: ",") + "}\n"
  }

  /// As a JSON string, which a person reads as well.
  static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\r": quoted += "\\r"
      case "\t": quoted += "\\t"
      case _ where isControl(scalar):
        let hex = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// What could end a line, or tell a terminal what to do. Those from 0x80 on are allowed in names of streams.
  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .control || [0x2028, 0x2029].contains(scalar.value)
  }
}

/// A log level that any thread may read and set.
private final class SharedLogLevel: Sendable {
  private let index = Atomic(SharedLogLevel.index(of: .info))

  var value: Logger.Level {
    get { Logger.Level.allCases[index.load(ordering: .relaxed)] }
    set { index.store(SharedLogLevel.index(of: newValue), ordering: .relaxed) }
  }

  private static func index(of level: Logger.Level) -> Int {
    Logger.Level.allCases.firstIndex(of: level) ?? 0
  }
}

/// The time of day, UTC, as ISO 8601 has it.
enum UTCTime {
  /// To the second: `2026-11-24T09:12:33Z`.
  static var now: String { text(of: current(), fraction: "") }

  /// To the microsecond.
  static var precise: String {
    let time = current()
    let digits = String(time.tv_nsec / 1000)
    return text(of: time, fraction: "." + String(repeating: "0", count: 6 - digits.count) + digits)
  }

  private static func current() -> timespec {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return time
  }

  private static func text(of time: timespec, fraction: String) -> String {
    var seconds = time.tv_sec
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let text = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text + fraction + "Z"
  }
}
