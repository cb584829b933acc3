/// What may be the name of a stream, whoever asks for it.
enum StreamName {
  /// The longest name, in bytes.
  static let maximumBytes = 512

  /// The name, if it is valid UTF-8, not empty, not too long, and without control characters.
  static func validated(_ bytes: [UInt8]) -> String? {
    guard !bytes.isEmpty, bytes.count <= maximumBytes,
      !bytes.contains(where: { $0 < 0x20 || $0 == 0x7f })
    else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }
}
