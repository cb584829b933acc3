/// What a notification means: a wake-up, a broadcast that was never stored, or the message itself.
extension Dispatcher {
  func notified(channel: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
    if channel.elementsEqual(NativeSchema.channel.utf8) {
      notifiedNative(payload)
    } else if channel.elementsEqual(ControlSchema.channel.utf8) {
      controlNotified()
    } else if let presence, channel.elementsEqual(PresenceSQL.channel.utf8) {
      presence.notified(payload)
    } else {
      notifiedQueue(channel, payload)
    }
  }

  /// The channel `pgmq.q_NAME.INSERT`, with the name as the table has it or as it was given.
  private func notifiedQueue(_ channel: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) {
    guard let stream = queueStream(channel) else { return }
    if payload.isEmpty { return wake(stream) }
    guard let broadcast = PGMQPayload(payload) else { return drop() }
    let message = StreamMessage(
      data: broadcast.data, event: broadcast.event, visibleTo: broadcast.visibleTo,
      exclude: broadcast.exclude)
    deliver(message, to: stream, epoch: nil)
  }

  func queueStream(_ channel: UnsafeRawBufferPointer) -> Stream? {
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
    if !patterns.isEmpty { heard(of: notification.stream) }
    let known = notification.stream.withUnsafeBytes { registry.stream(.native, $0) }
    guard let stream = known else { return }
    guard let data = notification.data else { return wake(stream) }
    let message = StreamMessage(
      id: notification.id, data: data, event: notification.event,
      visibleTo: notification.visibleTo, exclude: notification.exclude)
    deliver(message, to: stream, epoch: notification.epoch)
  }

  private func drop() {
    writer.statistics.invalidNotifications += 1
  }
}
