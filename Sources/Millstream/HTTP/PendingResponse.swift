import Glibc

/// A short answer on its way to a client. Behind it nothing more is sent; closing at once could reset the
/// connection before the client has read it.
struct PendingResponse {
  enum Progress {
    /// All of it was sent, and the client knows that nothing follows.
    case sent
    /// The socket is full.
    case waits
    case gone
  }

  private var bytes: [UInt8]

  init(_ response: HTTPResponse) {
    bytes = response.encoded
  }

  mutating func send(to descriptor: Int32, _ calls: SystemCalls) -> Progress {
    switch bytes.withUnsafeBytes({ calls.send(descriptor, $0.baseAddress!, $0.count) }) {
    case .closed, .timedOut: return .gone
    case .wouldBlock: return .waits
    case .transferred(let count):
      bytes.removeFirst(count)
      if !bytes.isEmpty { return .waits }
      shutdown(descriptor, Int32(SHUT_WR))
      return .sent
    }
  }
}
