// The names are those of millstream.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase
import CMillstream
import Glibc
import Millstream

/// Makes a descriptor ready to be this instance's, or says why not.
private func prepare(_ descriptor: Int32, for host: Host) throws(Refusal) {
  if descriptor >= 0 && host.isOnThread && host.instance.isTaken(descriptor) {
    throw Refusal(MILLSTREAM_ALREADY_TAKEN)
  }
  if !ClientDescriptor.prepare(descriptor) { throw Refusal(MILLSTREAM_BAD_DESCRIPTOR) }
}

@c(millstream_accept) @implementation
func millstream_accept(
  _ instance: OpaquePointer?, _ descriptor: Int32, _ received: UnsafeRawPointer?,
  _ receivedLength: Int
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    guard (0...Endpoint.maximumHeadBytes).contains(receivedLength),
      received != nil || receivedLength == 0
    else {
      return MILLSTREAM_INVALID_ARGUMENT
    }
    try prepare(descriptor, for: host)
    let bytes = UnsafeRawBufferPointer(start: received, count: receivedLength)
    if host.isOnThread {
      guard host.endpoint.take(descriptor, received: bytes) else { return MILLSTREAM_FULL }
      host.perform {}
      return MILLSTREAM_OK
    }
    let copy = Array(bytes)
    host.perform {
      if host.instance.isTaken(descriptor) { return }
      let isTaken = copy.withUnsafeBytes { host.endpoint.take(descriptor, received: $0) }
      if !isTaken { close(descriptor) }
    }
    return MILLSTREAM_OK
  }
}

@c(millstream_subscribe) @implementation
func millstream_subscribe(
  _ instance: OpaquePointer?, _ subscription: UnsafePointer<millstream_subscription>?,
  _ id: UnsafeMutablePointer<millstream_connection_id>?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    guard let subscription, let given = read(subscription, size: subscription.pointee.size) else {
      return MILLSTREAM_INVALID_ARGUMENT
    }
    let wanted = try host.router.subscription(given, host.instance)
    let context = try contextOf(given.context)
    if let context, context.isOver { return MILLSTREAM_TOO_LATE }
    if host.isOnThread && !host.instance.hasRoom { return MILLSTREAM_FULL }
    try prepare(given.descriptor, for: host)
    let name = host.register(given.descriptor, wanted, context)
    id?.pointee = name
    return MILLSTREAM_OK
  }
}

extension Host {
  /// The connection's name; 0 where it is not known yet.
  fileprivate func register(
    _ descriptor: Int32, _ wanted: Subscription, _ given: GivenContext?
  ) -> millstream_connection_id {
    given?.handOver(to: self)
    var name: millstream_connection_id = 0
    if isOnThread {
      perform { [self] in name = take(descriptor, wanted, given) }
    } else {
      perform { [self] in
        if instance.isTaken(descriptor) { return }
        if !instance.hasRoom { _ = close(descriptor) } else { _ = take(descriptor, wanted, given) }
      }
    }
    return name
  }

  private func take(
    _ descriptor: Int32, _ wanted: Subscription, _ given: GivenContext?
  ) -> millstream_connection_id {
    guard case .registered(let name) = endpoint.take(descriptor, wanted, given?.context) else {
      return 0
    }
    return name.rawValue
  }
}

@c(millstream_listen) @implementation
func millstream_listen(
  _ instance: OpaquePointer?, _ address: UnsafePointer<CChar>?,
  _ bound: UnsafeMutablePointer<CChar>?, _ boundSize: Int
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    guard let address else { return MILLSTREAM_INVALID_ARGUMENT }
    guard let wanted = try? ListenAddress(String(cString: address)) else {
      return MILLSTREAM_INVALID_TEXT
    }
    guard let socket = try? wanted.listen().first else { return MILLSTREAM_SYSTEM_ERROR }
    copy(socket.address, to: bound, size: boundSize)
    host.perform { host.endpoint.add(socket) }
    return MILLSTREAM_OK
  }
}
