import Glibc
import Logging
import Testing

@testable import Millstream

/// The endpoint on a real loop and a real socket: what the hooks decide.
@Suite struct EndpointTests {
  private struct Fault: Error {}

  private let loop: EventLoop
  private let instance: Instance
  private let endpoint: Endpoint
  private let path = "/tmp/millstream-test-\(UInt64.random(in: 0...UInt64.max)).sock"

  init() throws {
    loop = try EventLoop()
    var configuration = Configuration()
    configuration.database = "host=/nonexistent dbname=none"
    var served = EndpointConfiguration()
    served.publicPatterns = ["*"]
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    instance = try Instance(loop: loop, configuration: configuration, logger: logger)
    endpoint = Endpoint(loop: loop, instance: instance, configuration: served, logger: logger)
    instance.start()
    endpoint.start(on: try ListenAddress("unix:\(path)").listen())
  }

  @Test func whoeverMayNotListenIsForbidden() throws {
    endpoint.authorize = { stream, request in stream == "mine" && request.field("cookie") == "me" }
    #expect(
      try answer(to: "other").hasPrefix("HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\n"))
    #expect(try answer(to: "mine", fields: "Cookie: me\r\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(try answer(to: "mine").hasPrefix("HTTP/1.1 403 "))
  }

  @Test func faultInsideLeaksNothing() throws {
    endpoint.authorize = { _, _ in throw Fault() }
    let answer = try answer(to: "any")
    #expect(answer.hasPrefix("HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\n"))
    #expect(!answer.contains("Fault"))
  }

  private func answer(to name: String, fields: String = "") throws -> String {
    let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(client) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let outcome = withUnsafePointer(to: &address) {
      connect(
        client, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    try #require(outcome == 0)
    let request = Array("GET /streams/\(name) HTTP/1.1\r\nHost: x\r\n\(fields)\r\n".utf8)
    try #require(send(client, request, request.count, 0) == request.count)
    return received(client)
  }

  private func received(_ client: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let deadline = Clock.system.monotonicMs + 20_000
    while Clock.system.monotonicMs < deadline {
      loop.runOnce()
      let count = recv(client, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { return String(decoding: buffer[..<count], as: UTF8.self) }
    }
    return "nothing"
  }
}
