/// A request as the hooks see it.
public struct EndpointRequest {
  let head: RequestHead
  /// The client's address in numbers, as this server sees it, or as a trusted proxy says it; nil: it has none,
  /// as on a Unix socket.
  public let clientAddress: String?
  /// What the request is called in the response and in the log: its `X-Request-Id`, or what was made up.
  public let id: String

  init(_ head: RequestHead, _ arrival: Arrival) {
    self.head = head
    clientAddress = arrival.address.map { "\($0)" }
    id = arrival.requestID.text
  }

  /// Whether it is a `POST`.
  public var isPost: Bool { head.method == .post }

  /// The path as it came, without the query and not decoded.
  public var path: String { String(decoding: head.path, as: UTF8.self) }

  /// The value of a header field, whatever the case of its name; nil if it is not there.
  public func field(_ name: String) -> String? {
    head.value(of: name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The values of all header fields of this name.
  public func fields(_ name: String) -> [String] {
    head.values(of: name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The value of a query field, decoded; nil if it is not there.
  public func query(_ name: String) -> String? {
    guard case .found(let value) = PercentEncoding.queryValue(name.utf8, in: head.query ?? [])
    else { return nil }
    return String(decoding: value, as: UTF8.self)
  }
}
