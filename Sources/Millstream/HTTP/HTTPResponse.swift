/// A short answer that ends its connection.
struct HTTPResponse: Equatable {
  var status: Int
  var reason: String
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []
  /// Whether there is a body; not for 204, and not for an event stream's head.
  var hasBody = true
  /// The answer to HEAD: the body is announced but not sent (RFC 9110, 9.3.2).
  var isHeadOnly = false
  /// The sentence in its body, for the log.
  var text = ""
  /// Why it refuses temporarily; nil: it does not, or for good.
  var refusal: RefusalReason?

  static func == (left: HTTPResponse, right: HTTPResponse) -> Bool {
    left.encoded == right.encoded
  }

  /// A refusal in a sentence. Nothing of what the client sent, or of our state, is in it.
  static func plain(_ status: Int, _ reason: String, _ text: String) -> HTTPResponse {
    HTTPResponse(
      status: status, reason: reason, fields: [("content-type", "text/plain")],
      body: Array("\(text)\n".utf8), text: text)
  }

  /// The same temporarily: whoever comes again may be let in.
  static func later(_ status: Int, _ reason: String, _ text: String) -> HTTPResponse {
    var response = plain(status, reason, text)
    response.fields.append(("retry-after", "2"))
    return response
  }

  static let notFound = plain(404, "Not Found", "no such stream")
  static let forbidden = plain(403, "Forbidden", "not for you")
  static let fault = plain(500, "Internal Server Error", "something went wrong")
  static let badCursor = plain(400, "Bad Request", "the cursor is not a whole number")
  static let full = later(503, "Service Unavailable", "no room for another connection")
  /// It is about to end: the next attempt shall find another one.
  static let draining = later(503, "Service Unavailable", "this server is about to end")
  static let unavailable = later(
    503, "Service Unavailable", "it cannot be said now who may listen")
  static let tooManyStreams = plain(
    400, "Bad Request", "more than \(CursorVector.maximumStreams) streams")

  /// Refuses a request for several streams none of which can be had.
  static func refusingAll(for status: Int) -> HTTPResponse {
    let known = [.forbidden, .fault, .unavailable, .badCursor, HTTPResponse(refusing: .missing)]
    return known.first { $0.status == status } ?? .notFound
  }

  /// What says that it is an event stream, also where that ends at once.
  static let streamFields = [
    (name: "content-type", value: "text/event-stream"),
    (name: "cache-control", value: "no-cache, no-transform"),
  ]

  /// What HEAD gets where GET would get a stream.
  static let streamHeadOnly = HTTPResponse(
    status: 200, reason: "OK", fields: streamFields + [("x-accel-buffering", "no")], hasBody: false)

  static let headTimeout = plain(408, "Request Timeout", "the request took too long")

  /// The bytes on the wire.
  var encoded: [UInt8] {
    var text = "HTTP/1.1 \(status) \(reason)\r\n"
    for field in fields { text += "\(field.name): \(field.value)\r\n" }
    if hasBody { text += "content-length: \(body.count)\r\n" }
    text += "connection: close\r\n\r\n"
    return Array(text.utf8) + (hasBody && !isHeadOnly ? body : [])
  }

  /// The same with more fields.
  func adding(_ fields: [(name: String, value: String)]) -> HTTPResponse {
    var response = self
    response.fields += fields
    return response
  }

  /// `head`, which is of an event stream's response or is none, with one more field.
  static func adding(_ name: StaticString, _ value: String, toHead head: [UInt8]) -> [UInt8] {
    head.isEmpty ? [] : head.dropLast(2) + Array("\(name): \(value)\r\n\r\n".utf8)
  }

  /// The head of an event stream's response: the stream itself has no end and no length.
  static func streamHead(_ extraFields: [(name: String, value: String)]) -> [UInt8] {
    var text = """
      HTTP/1.1 200 OK\r
      content-type: text/event-stream\r
      cache-control: no-cache, no-transform\r
      x-accel-buffering: no\r
      connection: keep-alive\r

      """
    for field in extraFields { text += "\(field.name): \(field.value)\r\n" }
    return Array((text + "\r\n").utf8)
  }
}
