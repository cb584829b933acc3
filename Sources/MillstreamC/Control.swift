// The names are those of millstream.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase
import CMillstream
import Millstream

/// The stream that is named so; nil: there is no such store, or no name.
private func identity(
  _ store: millstream_store_kind, _ stream: UnsafePointer<CChar>?
) throws(Refusal) -> StreamIdentity {
  guard let store = StoreKind(store), let stream else { throw Refusal(MILLSTREAM_INVALID_ARGUMENT) }
  return StreamIdentity(store: store, name: String(cString: stream))
}

private func copy(_ message: UnsafePointer<millstream_message>?) throws(Refusal) -> StreamMessage {
  guard let message, let given = read(message, size: message.pointee.size),
    let copy = StreamMessage(given)
  else { throw Refusal(MILLSTREAM_INVALID_ARGUMENT) }
  return copy
}

/// Does `body`, which says whether there was something to do it to: that can be told on the loop only.
private func control(
  _ host: Host, _ body: @escaping (Instance) -> Bool
) -> millstream_result {
  var wasFound = true
  if host.isOnThread {
    host.perform { wasFound = body(host.instance) }
  } else {
    host.perform { _ = body(host.instance) }
  }
  return wasFound ? MILLSTREAM_OK : MILLSTREAM_NOT_FOUND
}

// MARK: Publishing

@c(millstream_publish) @implementation
func millstream_publish(
  _ instance: OpaquePointer?, _ store: millstream_store_kind, _ stream: UnsafePointer<CChar>?,
  _ message: UnsafePointer<millstream_message>?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    let stream = try identity(store, stream)
    let message = try copy(message)
    guard host.instance.serves(stream.store) else { return MILLSTREAM_NOT_FOUND }
    return control(host) { instance in
      instance.publish(message, to: stream)
      return true
    }
  }
}

@c(millstream_send) @implementation
func millstream_send(
  _ instance: OpaquePointer?, _ id: millstream_connection_id,
  _ message: UnsafePointer<millstream_message>?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    let message = try copy(message)
    return control(host) { $0.send(message, to: ConnectionID(rawValue: id)) }
  }
}

@c(millstream_notify) @implementation
func millstream_notify(
  _ instance: OpaquePointer?, _ stream: UnsafePointer<CChar>?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    let stream = try identity(MILLSTREAM_HOST, stream)
    guard host.instance.serves(.host) else { return MILLSTREAM_NOT_FOUND }
    return control(host) { instance in
      instance.notify(stream.name)
      return true
    }
  }
}

// MARK: Closing

@c(millstream_close) @implementation
func millstream_close(
  _ instance: OpaquePointer?, _ id: millstream_connection_id
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    return control(host) { $0.close(ConnectionID(rawValue: id)) }
  }
}

@c(millstream_close_stream) @implementation
func millstream_close_stream(
  _ instance: OpaquePointer?, _ store: millstream_store_kind, _ stream: UnsafePointer<CChar>?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    let stream = try identity(store, stream)
    return control(host) { instance in
      instance.close(stream)
      return true
    }
  }
}

@c(millstream_close_member) @implementation
func millstream_close_member(
  _ instance: OpaquePointer?, _ member: UnsafePointer<CChar>?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    guard let member else { return MILLSTREAM_INVALID_ARGUMENT }
    let name = String(cString: member)
    return control(host) { instance in
      instance.close(member: name)
      return true
    }
  }
}

// MARK: Looking

@c(millstream_count) @implementation
func millstream_count(_ instance: OpaquePointer?) -> Int {
  guard let host = try? host(instance, anyThread: true) else { return 0 }
  return host.find { host.instance.connectionCount }
}

@c(millstream_count_stream) @implementation
func millstream_count_stream(
  _ instance: OpaquePointer?, _ store: millstream_store_kind, _ stream: UnsafePointer<CChar>?
) -> Int {
  guard let host = try? host(instance, anyThread: true), let stream = try? identity(store, stream)
  else { return 0 }
  return host.find { host.instance.connectionCount(of: stream) }
}

@c(millstream_each) @implementation
func millstream_each(
  _ instance: OpaquePointer?,
  _ each: (
    @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<millstream_connection>?) -> Bool
  )?,
  _ user: UnsafeMutableRawPointer?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try host(instance)
    guard let each else { return MILLSTREAM_INVALID_ARGUMENT }
    host.instance.forEachConnection { info in
      host.callOut { info.lend { each(user, $0) } }
    }
    host.perform {}
    return MILLSTREAM_OK
  }
}

@c(millstream_get_statistics) @implementation
func millstream_get_statistics(
  _ instance: OpaquePointer?, _ statistics: UnsafeMutablePointer<millstream_statistics>?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try host(instance, anyThread: true)
    guard let statistics else { return MILLSTREAM_INVALID_ARGUMENT }
    let size = statistics.pointee.size
    guard size >= MemoryLayout<Int>.size, size <= MemoryLayout<millstream_statistics>.size else {
      return MILLSTREAM_INVALID_ARGUMENT
    }
    var filled = host.find { millstream_statistics(host.instance) }
    filled.size = size
    withUnsafeBytes(of: filled) { bytes in
      UnsafeMutableRawPointer(statistics).copyMemory(from: bytes.baseAddress!, byteCount: size)
    }
    return MILLSTREAM_OK
  }
}

extension millstream_statistics {
  fileprivate init(_ instance: Instance) {
    self.init()
    let counted = instance.statistics
    connections = UInt64(instance.connectionCount)
    streams = UInt64(instance.streamCount)
    opened = counted.opened
    withUnsafeMutableBytes(of: &closed) { bytes in
      let reasons = bytes.bindMemory(to: UInt64.self)
      for (index, count) in counted.closed.enumerated() where index < reasons.count {
        reasons[index] = count
      }
    }
    sends = counted.sends
    bytes_sent = counted.bytesSent
    messages = counted.messages
    replay_pages = counted.replayPages
    gaps = counted.gaps
    resets = counted.resets
    dropped_ephemerals = counted.droppedEphemerals
  }
}

@c(millstream_sign) @implementation
func millstream_sign(
  _ instance: OpaquePointer?, _ stream: UnsafePointer<CChar>?,
  _ signedName: UnsafeMutablePointer<CChar>?, _ size: Int
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try host(instance, anyThread: true)
    guard let stream, let signedName, let signed = host.router.sign(String(cString: stream)),
      signed.utf8.count < size
    else { return MILLSTREAM_INVALID_ARGUMENT }
    copy(signed, to: signedName, size: size)
    return MILLSTREAM_OK
  }
}
