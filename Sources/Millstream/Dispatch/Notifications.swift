/// What a notification means: a wake-up, a broadcast that was never stored, or the message itself.
extension Dispatcher {
  func notified(channel: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
    if channel.elementsEqual(NativeSchema.channel.utf8) {
      notifiedNative(payload)
    } else {
      notifiedQueue(channel, payload)
    }
  }

  /// The channel `pgmq.q_NAME.INSERT`, with the name as the table has it or as it was given.
  private func notifiedQueue(_ channel: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) {
    guard let stream = queueStream(channel) else { return }
    if payload.isEmpty { return wake(stream) }
    guard let broadcast = PGMQPayload(payload) else { return drop() }
    let message = (
      data: broadcast.data, event: broadcast.event, visibleTo: broadcast.visibleTo,
      exclude: broadcast.exclude
    )
    withMessage(id: nil, message) { deliver($0, to: stream, epoch: nil) }
  }

  private func queueStream(_ channel: UnsafeRawBufferPointer) -> Stream? {
    let prefix = "pgmq.q_".utf8
    let suffix = ".INSERT".utf8
    guard channel.starts(with: prefix), channel.count > prefix.count + suffix.count else {
      return nil
    }
    let name = channel[prefix.count..<(channel.count - suffix.count)]
    return withUnsafeTemporaryAllocation(byteCount: name.count, alignment: 1) { folded in
      for (index, byte) in name.enumerated() { folded[index] = ASCII.lowercased(byte) }
      return registry.stream(.pgmq, UnsafeRawBufferPointer(folded))
    }
  }

  private func notifiedNative(_ payload: UnsafeRawBufferPointer) {
    guard let notification = NativePayload(payload) else { return drop() }
    let known = notification.stream.withUnsafeBytes { registry.stream(.native, $0) }
    guard let stream = known else { return }
    guard let data = notification.data else { return wake(stream) }
    let message = (
      data: data, event: notification.event, visibleTo: notification.visibleTo,
      exclude: notification.exclude
    )
    withMessage(id: notification.id, message) {
      deliver($0, to: stream, epoch: notification.epoch)
    }
  }

  private func drop() {
    writer.statistics.invalidNotifications += 1
  }

  private typealias Texts = (data: [UInt8], event: [UInt8]?, visibleTo: [UInt8]?, exclude: [UInt8]?)

  /// Lends the texts of a payload as a message.
  private func withMessage(id: Int64?, _ texts: Texts, _ body: (Message) -> Void) {
    texts.data.withUnsafeBytes { data in
      lend(texts.event) { event in
        lend(texts.visibleTo) { visibleTo in
          lend(texts.exclude) { exclude in
            body(
              Message(id: id, data: data, event: event, visibleTo: visibleTo, exclude: exclude))
          }
        }
      }
    }
  }

  private func lend(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
    if let bytes { bytes.withUnsafeBytes { body($0) } } else { body(nil) }
  }
}
