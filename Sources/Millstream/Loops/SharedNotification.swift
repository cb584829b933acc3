/// A notification on its way to other loops: copied once, however many they are, and never changed.
struct SharedNotification: Sendable {
  /// The channel, and the payload behind it.
  private let bytes: [UInt8]
  private let channelCount: Int

  init(channel: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
    channelCount = channel.count
    bytes = [UInt8](unsafeUninitializedCapacity: channel.count + payload.count) { buffer, count in
      let buffer = UnsafeMutableRawBufferPointer(buffer)
      buffer.copyMemory(from: channel)
      UnsafeMutableRawBufferPointer(rebasing: buffer[channel.count...]).copyMemory(from: payload)
      count = channel.count + payload.count
    }
  }

  var byteCount: Int { bytes.count }

  /// Calls `body` with channel and payload, valid during the call.
  func lend(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void) {
    bytes.withUnsafeBytes { bytes in
      body(
        UnsafeRawBufferPointer(rebasing: bytes[..<channelCount]),
        UnsafeRawBufferPointer(rebasing: bytes[channelCount...]))
    }
  }
}
