import Glibc

/// The standard streams, without buffers of their own: what was printed is out when a signal ends
/// the command.
enum StandardStreams {
  static func output(_ line: String) { write(Array(line.utf8) + [0x0a], to: STDOUT_FILENO) }

  /// For people: whatever a server or an error brings into it, a terminal is told nothing by it.
  static func notice(_ text: String) {
    write(Array(PrintableText.lines(text).utf8) + [0x0a], to: STDERR_FILENO)
  }

  /// Bytes that cannot be written are lost: there is nobody left to tell.
  private static func write(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno != EINTR { return }
      rest = rest.dropFirst(max(count, 0))
    }
  }
}
