/// What lets pages of other origins read the answers (the Fetch standard's CORS protocol).
struct CrossOrigin {
  /// Origins whose pages may read; `*`: any.
  let allowedOrigins: [String]

  /// What lets the page that made the request read the answer, if it may.
  func fields(for head: RequestHead) -> [(name: String, value: String)] {
    guard !allowedOrigins.isEmpty, let bytes = head.value(of: "origin") else { return [] }
    let origin = String(decoding: bytes, as: UTF8.self)
    if allowedOrigins.contains(origin) {
      return [
        ("access-control-allow-origin", origin), ("access-control-allow-credentials", "true"),
        ("vary", "origin"),
      ]
    }
    return allowedOrigins.contains("*") ? [("access-control-allow-origin", "*")] : []
  }

  /// Answers a browser that asks before it sends the request itself; `fields` are those for it.
  static func preflight(_ fields: [(name: String, value: String)]) -> HTTPResponse {
    var response = HTTPResponse(
      status: 204, reason: "No Content", fields: [("allow", "GET, HEAD, OPTIONS")], hasBody: false)
    guard !fields.isEmpty else { return response }
    response.fields += fields
    response.fields += [
      ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
      ("access-control-allow-headers", "last-event-id, cache-control, authorization"),
      ("access-control-max-age", "86400"),
    ]
    return response
  }
}
