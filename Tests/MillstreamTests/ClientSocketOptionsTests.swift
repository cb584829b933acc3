import Glibc
import Testing

@testable import Millstream

/// What an accepted connection has from the socket that it was accepted on.
@Suite struct ClientSocketOptionsTests {
  @Test func acceptedConnectionsHaveThem() throws {
    let listening = try ListenAddress("127.0.0.1:0").listen()[0]
    ClientSocketOptions(writeDeadlineMs: 5_000, heartbeatMs: 15_000).apply(to: listening.descriptor)
    let client = try connect(to: listening)
    defer { close(client) }
    let accepted = accept(listening.descriptor, nil, nil)
    try #require(accepted >= 0)
    defer { close(accepted) }
    #expect(value(accepted, Int32(IPPROTO_TCP), TCP_NODELAY) == 1)
    #expect(value(accepted, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT) == 20_000)
    #expect(value(accepted, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT) == 65_536)
    #expect(value(accepted, SOL_SOCKET, SO_KEEPALIVE) == 1)
    #expect(value(accepted, Int32(IPPROTO_TCP), TCP_KEEPIDLE) == 30)
  }

  @Test(arguments: [
    (Int64(5_000), Int64(15_000), Int64(20_000)), (1_000, 500, 1_500), (5_000, 3_600_000, 35_000),
  ])
  func limitIsTheDeadlineAndAHeartbeat(deadlineMs: Int64, heartbeatMs: Int64, limitMs: Int64) {
    let options = ClientSocketOptions(writeDeadlineMs: deadlineMs, heartbeatMs: heartbeatMs)
    #expect(options.userTimeoutMs == limitMs)
  }

  private func connect(to listening: ListeningSocket) throws -> Int32 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let outcome = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        getsockname(listening.descriptor, generic, &length)
        return Glibc.connect(client, generic, length)
      }
    }
    try #require(outcome == 0)
    return client
  }

  private func value(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int32 {
    var value: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, level, name, &value, &length)
    return value
  }
}
