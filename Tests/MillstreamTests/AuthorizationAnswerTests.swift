import Testing

@testable import Millstream

/// What an application's response says of who may listen.
@Suite struct AuthorizationAnswerTests {
  private static let json = "application/json"

  private func permission(
    _ status: Int, _ body: String = "", type: String? = json
  ) -> Permission? {
    try? AuthorizationAnswer.permission(
      status: status, contentType: type, body: Array(body.utf8), length: body.utf8.count,
      at: 1_000)
  }

  /// It may have been cut off.
  @Test func whatHasNoLengthAndNoBodyIsNoJSON() throws {
    func permission(_ status: Int, _ type: String) throws -> Permission {
      try AuthorizationAnswer.permission(
        status: status, contentType: type, body: [], length: nil, at: 1_000)
    }
    #expect(throws: AuthorizationAnswer.Fault.noObject) { try permission(200, Self.json) }
    for (status, type) in [(204, Self.json), (200, "text/plain")] {
      guard case .allow(nil) = try permission(status, type) else {
        Issue.record("\(status) \(type)")
        continue
      }
    }
  }

  private func context(_ body: String) -> ConnectionContext? {
    guard case .allow(let context) = permission(200, body) else { return nil }
    return context
  }

  @Test func statusDecides() {
    for status in [200, 201, 204, 299] {
      guard case .allow(nil) = permission(status) else {
        Issue.record("\(status)")
        continue
      }
    }
    for status in [401, 403] {
      guard case .forbid = permission(status, "{nonsense") else {
        Issue.record("\(status)")
        continue
      }
    }
    for status in [0, 100, 199, 300, 302, 400, 404, 429, 500, 503] {
      #expect(permission(status) == nil)
    }
  }

  @Test func bodyGivesTheContext() throws {
    let context = try #require(
      self.context(#"{"member":"m\u00e9","labels":["a","b"],"expires_at":1001.9,"metadata":{}}"#))
    #expect(context.member == "mé" && context.labels == ["a", "b"] && context.expiresAt == 1_001)
    let empty = try #require(self.context(#"{"member":null,"labels":null,"expires_at":null}"#))
    #expect(empty.member == nil && empty.labels.isEmpty && empty.expiresAt == nil)
  }

  @Test(arguments: [
    "nonsense", "[]", "1", "{", #"{"a":1}{}"#, #"{"member":1}"#, #"{"labels":"a"}"#,
    #"{"labels":[1]}"#, #"{"expires_at":"2000"}"#, #"{"expires_at":1e300}"#,
    #"{"member":"a","member":"b"}"#, #"{"expires_at":2000,"expires\u005fat":3000}"#,
  ])
  func whatClaimsToBeJSONHasToBeInOrder(body: String) {
    #expect(permission(200, body) == nil)
    guard case .allow(nil) = permission(200, body, type: "text/html") else {
      Issue.record("what is no JSON says nothing")
      return
    }
  }

  /// Who looks after the application shall not have to guess.
  @Test(arguments: [
    (#"{"member":7}"#, AuthorizationAnswer.Fault.member("member")),
    (#"{"labels":"a"}"#, .member("labels")), (#"{"metadata":[]}"#, .member("metadata")),
    ("nonsense", .noObject),
  ])
  func whatIsWrongIsNamed(body: String, fault: AuthorizationAnswer.Fault) {
    #expect(throws: fault) {
      try AuthorizationAnswer.permission(
        status: 200, contentType: AuthorizationAnswerTests.json, body: Array(body.utf8),
        length: nil, at: 1_000)
    }
  }

  @Test func whatIsTooLongIsNoAnswer() {
    #expect(throws: AuthorizationAnswer.Fault.tooLong) {
      try AuthorizationAnswer.permission(
        status: 200, contentType: AuthorizationAnswerTests.json, body: nil, length: nil,
        at: 1_000)
    }
  }

  /// A page that says so at length says no all the same.
  @Test func whatIsNotReadMayBeLong() throws {
    for (status, type) in [
      (403, AuthorizationAnswerTests.json), (403, "text/html"), (200, "text/html"),
    ] {
      let permission = try AuthorizationAnswer.permission(
        status: status, contentType: type, body: nil, length: nil, at: 1_000)
      switch permission {
      case .forbid: #expect(status == 403)
      case .allow(nil): #expect(status == 200)
      default: Issue.record("\(status) \(type)")
      }
    }
  }

  @Test(arguments: [
    "application/json", "Application/JSON;charset=utf-8", "application/json ; x",
    "application/json,x", "application/json-seq",
  ])
  func kindsOfJSON(type: String) {
    #expect(permission(200, "nonsense", type: type) == nil)
  }

  @Test func whatIsOverIsForbidden() {
    for end in ["1000", "-1", "0"] {
      guard case .forbid = permission(200, #"{"expires_at":\#(end)}"#) else {
        Issue.record("\(end)")
        continue
      }
    }
  }
}
