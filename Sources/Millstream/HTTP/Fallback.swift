/// Answers requests that are not for a stream, before their path is looked at; nil: it is none of ours. It
/// is asked for `GET`, `HEAD` and `POST`, with the head alone: no body is read.
public typealias FallbackHandler = (_ request: EndpointRequest) -> FallbackResponse?

/// What a fallback handler answers.
public struct FallbackResponse {
  /// For instance 200.
  public var status: Int
  /// The `content-type`.
  public var contentType: String
  /// The body; 204 and 304 have none.
  public var body: [UInt8]
  /// Further header fields, such as `cache-control`; no line break may be in them.
  public var fields: [(name: String, value: String)]

  /// A response of these parts.
  public init(
    status: Int, contentType: String, body: [UInt8], fields: [(name: String, value: String)] = []
  ) {
    self.status = status
    self.contentType = contentType
    self.body = body
    self.fields = fields
  }

  /// The same with a text for its body.
  public init(
    status: Int, contentType: String, body: String, fields: [(name: String, value: String)] = []
  ) {
    self.init(status: status, contentType: contentType, body: Array(body.utf8), fields: fields)
  }

  /// The same as it is sent.
  var response: HTTPResponse {
    let reason = status == 304 ? "Not Modified" : status < 300 ? "OK" : "Refused"
    return HTTPResponse(
      status: status, reason: reason, fields: [("content-type", contentType)] + fields, body: body,
      hasBody: ![204, 304].contains(status))
  }
}
