import CSystem
import Glibc

/// What a call on a nonblocking descriptor came to.
enum IOOutcome: Equatable {
  /// So many bytes were taken or given; never 0 for a write of something.
  case transferred(Int)
  /// The kernel's buffer is full (or empty): wait for readiness.
  case wouldBlock
  /// The other side is gone, or the network says so. For a read also: end of file.
  case closed
  /// The kernel has given the other side up: it no longer answers, or takes nothing.
  case timedOut
}

/// The calls that the loop makes on client sockets. They are C function pointers, so that a test can
/// script every partial write and refusal, and the hot path pays nothing for it.
struct SystemCalls {
  typealias Send = @convention(c) (Int32, UnsafeRawPointer?, Int, Int32) -> Int
  typealias Receive = @convention(c) (Int32, UnsafeMutableRawPointer?, Int, Int32) -> Int
  typealias Close = @convention(c) (Int32) -> Int32
  typealias HeldBytes = @convention(c) (Int32) -> Int

  var sendCall: Send = { Glibc.send($0, $1, $2, $3) }
  var receiveCall: Receive = { Glibc.recv($0, $1, $2, $3) }
  var closeCall: Close = { Glibc.close($0) }
  var heldBytesCall: HeldBytes = { ms_held_bytes($0) }

  /// One `send` without SIGPIPE, with what the kernel returns.
  @inline(__always)
  func sendOnce(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    sendCall(descriptor, bytes, count, Int32(MSG_NOSIGNAL))
  }

  /// One `send`, or `write` to a pipe, without SIGPIPE; starts over when a signal cut it short.
  @inline(__always)
  func send(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> IOOutcome {
    while true {
      var sent = sendOnce(descriptor, bytes, count)
      if sent < 0 && errno == ENOTSOCK { sent = ms_write_pipe(descriptor, bytes, count) }
      if let outcome = SystemCalls.outcome(ofSent: sent) { return outcome }
    }
  }

  /// What the `send` that returned `sent` came to; nil: it has to be done again, with `send`, because a
  /// signal cut it short or it is a pipe that has to be written to.
  static func outcome(ofSent sent: Int) -> IOOutcome? {
    if sent > 0 { return .transferred(sent) }
    return errno == EINTR || errno == ENOTSOCK ? nil : outcome(ofErrno: errno)
  }

  /// One `recv` into `buffer`.
  func receive(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome {
    while true {
      let received = receiveCall(descriptor, buffer.baseAddress, buffer.count, 0)
      if received > 0 { return .transferred(received) }
      if received == 0 { return .closed }
      if errno == EINTR { continue }
      if errno == ENOTSOCK { return ms_pipe_has_reader(descriptor) ? .wouldBlock : .closed }
      return SystemCalls.outcome(ofErrno: errno)
    }
  }

  /// Closes for good: Linux frees the descriptor whatever `close` returns, so it is never repeated.
  func close(_ descriptor: Int32) {
    _ = closeCall(descriptor)
  }

  /// How much of what was sent the kernel still holds, because the other side has not acknowledged
  /// it.
  func heldBytes(_ descriptor: Int32) -> Int { heldBytesCall(descriptor) }

  private static func outcome(ofErrno code: Int32) -> IOOutcome {
    switch code {
    case EAGAIN, ENOBUFS, ENOMEM: return .wouldBlock
    case EFAULT, EINVAL:
      preconditionFailure("a socket call failed with errno \(code): a mistake of ours")
    case ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN: return .timedOut
    default: return .closed
    }
  }
}
