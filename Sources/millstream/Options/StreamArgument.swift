import ArgumentParser

/// The name of a stream, as an argument.
enum StreamArgument {
  /// The same limit as the server's.
  private static let maximumBytes = 512

  /// - Throws: `ValidationError` that says why no stream can have this name.
  static func check(_ name: String) throws {
    guard !name.isEmpty else { throw ValidationError("the name of the stream is empty") }
    guard name.utf8.count <= maximumBytes else {
      throw ValidationError(
        "the name of the stream has \(name.utf8.count) bytes; at most \(maximumBytes) are allowed")
    }
    for (offset, byte) in name.utf8.enumerated() where byte < 0x20 || byte == 0x7f {
      throw ValidationError("the name of the stream has a control character at byte \(offset)")
    }
    // What the shell passed that was no UTF-8 has been replaced before it comes here.
    guard !name.unicodeScalars.contains("\u{fffd}") else {
      throw ValidationError("the name of the stream is not valid UTF-8")
    }
  }
}
