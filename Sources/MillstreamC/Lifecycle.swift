// The names are those of millstream.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase
import CMillstream
import Glibc
import Millstream

/// What a call is refused with before it is looked at: the instance, if it may be used from here.
struct Refusal: Error {
  let result: millstream_result

  init(_ result: millstream_result) {
    self.result = result
  }
}

/// The instance behind a handle. `anyThread`: whether the caller may be on another thread than the loop's,
/// where the loop has one of its own.
func host(_ handle: OpaquePointer?, anyThread: Bool = false) throws(Refusal) -> Host {
  if hosts.isInherited(handle) { throw Refusal(MILLSTREAM_FORKED) }
  guard let host = hosts[handle] else { throw Refusal(MILLSTREAM_INVALID_ARGUMENT) }
  if !anyThread && !host.isOnThread { throw Refusal(MILLSTREAM_WRONG_THREAD) }
  try host.checkCaller()
  return host
}

/// The same of one that takes clients.
func runningHost(_ handle: OpaquePointer?, anyThread: Bool = false) throws(Refusal) -> Host {
  let host = try host(handle, anyThread: anyThread)
  switch host.phase {
  case .made: throw Refusal(MILLSTREAM_NOT_STARTED)
  case .started: return host
  case .stopping, .stopped: throw Refusal(MILLSTREAM_STOPPED)
  }
}

/// The result of `body`, or why it was refused.
func result(_ body: () throws(Refusal) -> millstream_result) -> millstream_result {
  do {
    return try body()
  } catch {
    return error.result
  }
}

@c(millstream_create) @implementation
func millstream_create(
  _ options: UnsafePointer<millstream_options>?, _ instance: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> millstream_result {
  copy("", to: error, size: errorSize)
  guard let options, let instance, let given = read(options, size: options.pointee.size) else {
    copy("no options, or no place for the instance", to: error, size: errorSize)
    return MILLSTREAM_INVALID_ARGUMENT
  }
  _ = watchForks
  do {
    instance.pointee = hosts.add(try Host(try HostSettings(given)))
    return MILLSTREAM_OK
  } catch let fault {
    copy("\(fault)", to: error, size: errorSize)
    switch fault {
    case let fault as HostSettings.Fault: return fault.result
    case is ConfigurationError: return MILLSTREAM_INVALID_TEXT
    default: return MILLSTREAM_SYSTEM_ERROR
    }
  }
}

@c(millstream_start) @implementation
func millstream_start(_ instance: OpaquePointer?) -> millstream_result {
  result { () throws(Refusal) in try host(instance, anyThread: true).start() }
}

@c(millstream_shutdown) @implementation
func millstream_shutdown(
  _ instance: OpaquePointer?, _ withinMs: Int64, _ stopped: millstream_stopped_callback?,
  _ user: UnsafeMutableRawPointer?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try host(instance, anyThread: true)
    if withinMs < 0 { return MILLSTREAM_INVALID_ARGUMENT }
    nonisolated(unsafe) let user = user
    host.shutdown(withinMs: withinMs == 0 ? nil : min(withinMs, HostSettings.longestMs)) {
      stopped?(user)
    }
    return MILLSTREAM_OK
  }
}

@c(millstream_drain) @implementation
func millstream_drain(
  _ instance: OpaquePointer?, _ overMs: Int64, _ drained: millstream_drained_callback?,
  _ user: UnsafeMutableRawPointer?
) -> millstream_result {
  result { () throws(Refusal) in
    let host = try runningHost(instance, anyThread: true)
    if overMs < 0 { return MILLSTREAM_INVALID_ARGUMENT }
    nonisolated(unsafe) let user = user
    host.perform {
      host.instance.drain(overMs: min(overMs, HostSettings.longestMs)) { isComplete in
        host.callOut { drained?(user, isComplete) }
      }
    }
    return MILLSTREAM_OK
  }
}

@c(millstream_join) @implementation
func millstream_join(_ instance: OpaquePointer?) -> millstream_result {
  result { () throws(Refusal) in
    let host = try host(instance, anyThread: true)
    guard let thread = host.thread else { return MILLSTREAM_INVALID_ARGUMENT }
    switch host.phase {
    case .made: return MILLSTREAM_NOT_STARTED
    case .started: return MILLSTREAM_INVALID_ARGUMENT
    case .stopping, .stopped: break
    }
    if thread.isCurrent { return MILLSTREAM_BUSY }
    thread.join()
    return MILLSTREAM_OK
  }
}

@c(millstream_destroy) @implementation
func millstream_destroy(_ instance: OpaquePointer?) -> millstream_result {
  if instance == nil { return MILLSTREAM_OK }
  return result { () throws(Refusal) in
    let host = try host(instance, anyThread: true)
    guard host.destroy() else { return MILLSTREAM_BUSY }
    _ = hosts.remove(instance)
    return MILLSTREAM_OK
  }
}

@c(millstream_descriptor) @implementation
func millstream_descriptor(_ instance: OpaquePointer?) -> Int32 {
  (try? host(instance))?.poller?.descriptor ?? -1
}

@c(millstream_run) @implementation
func millstream_run(_ instance: OpaquePointer?) -> millstream_result {
  result { () throws(Refusal) in
    let host = try host(instance)
    if host.poller == nil { return MILLSTREAM_INVALID_ARGUMENT }
    return host.run() ? MILLSTREAM_OK : MILLSTREAM_BUSY
  }
}
