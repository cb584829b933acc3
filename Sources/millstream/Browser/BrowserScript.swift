import Millstream

/// The client for browsers, `millstream.js`, as the server gives it out.
struct BrowserScript: Sendable {
  /// Where it is.
  let path: String
  /// How long a browser takes it without asking whether there is another, in seconds.
  let secondsKept: Int
  private let text: [UInt8]
  /// For those who take it so: a third of it.
  private let packed: [UInt8]?
  private let tag: String

  /// At `path`, to be kept for so many seconds.
  init(path: String, secondsKept: Int) {
    self.path = path
    self.secondsKept = secondsKept
    text = Array(BrowserScript.served.utf8)
    packed = Gzip.packed(text)
    tag = BrowserScript.tag(of: text)
  }

  /// Whether it can be a path of a request: visible ASCII, without a query.
  static func isPath(_ path: String) -> Bool {
    path.utf8.first == UInt8(ascii: "/")
      && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "?") }
  }

  /// The module without the lines that are comments, and without indentation. No line of its code begins
  /// with an asterisk.
  static let served: String = {
    let source = String(decoding: PackageResources.millstream_js, as: UTF8.self)
    let lines = source.split(separator: "\n").map { $0.drop { $0 == " " } }
    let code = lines.filter { line in
      !line.isEmpty && !["//", "/*", "*"].contains { line.hasPrefix($0) }
    }
    return code.joined(separator: "\n") + "\n"
  }()

  /// Its 64-bit FNV-1a hash, which tells it from those of other versions.
  private static func tag(of text: [UInt8]) -> String {
    let hash = text.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x0100_0000_01b3
    }
    return "\"" + String(hash, radix: 16) + "\""
  }

  /// Nil: something else is asked for. Nothing in it is secret, so that pages of any origin may load it, as a
  /// module has to be allowed to be.
  @Sendable
  func answer(_ request: EndpointRequest) -> FallbackResponse? {
    guard !request.isPost, request.path == path else { return nil }
    let isKnown = request.fields("if-none-match").contains { $0.contains(tag) || $0 == "*" }
    var response = FallbackResponse(
      status: isKnown ? 304 : 200, contentType: "text/javascript; charset=utf-8", body: text,
      fields: [
        // Weak: it is the same for the text as it is and packed.
        ("etag", "W/" + tag), ("vary", "accept-encoding"),
        ("cache-control", "public, max-age=\(secondsKept)"),
        ("access-control-allow-origin", "*"), ("x-content-type-options", "nosniff"),
      ])
    if !isKnown, let packed, Gzip.isAccepted(request.fields("accept-encoding")) {
      response.body = packed
      response.fields.append(("content-encoding", "gzip"))
    }
    return response
  }
}
