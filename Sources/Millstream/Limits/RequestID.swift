/// What a request is called: in the response, towards the application, and in the log.
///
/// If the client, or a proxy, has not said it, it is the beginning of the connection's name. So nothing is kept
/// for it, and the one leads to the other.
struct RequestID {
  /// What the client says; nil: nothing, or nothing that could be said in a log.
  let given: String?
  /// The part of the connection's name that it is made of.
  let seed: UInt64

  static let field: StaticString = "x-request-id"
  private static let longest = 64

  /// `value`: of the request's field; nil: there is none.
  init(_ value: ArraySlice<UInt8>? = nil) {
    seed = ConnectionIDMint.makeSeed()
    given = value.flatMap { RequestID.isValid($0) ? String(decoding: $0, as: UTF8.self) : nil }
  }

  private static func isValid(_ value: ArraySlice<UInt8>) -> Bool {
    (1...longest).contains(value.count)
      && value.allSatisfy {
        ASCII.isVisible($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "'")
      }
  }

  var text: String { given ?? ConnectionIDMint.text(ofSeed: seed) }

  /// That of a connection whose client has said none.
  static func text(of connection: ConnectionID) -> String {
    ConnectionIDMint.text(ofSeed: ConnectionIDMint.seed(of: connection))
  }
}
