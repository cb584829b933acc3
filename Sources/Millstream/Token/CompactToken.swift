/// A signed token (RFC 7515, 7.1) taken apart: nothing in it is believed yet.
struct CompactToken {
  /// The longest, in bytes.
  static let maximumBytes = 8 * 1024

  let algorithm: TokenAlgorithm
  /// The key's name, if the token says one.
  let keyID: [UInt8]?
  let payload: [UInt8]
  let signature: [UInt8]
  /// What the signature is of.
  let signed: ArraySlice<UInt8>

  init(_ token: [UInt8]) throws(TokenRefusal) {
    guard token.count <= CompactToken.maximumBytes else { throw .tooLong }
    let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Base64URL.decode(parts[0]),
      let payload = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2])
    else { throw .malformed }
    let read = header.withUnsafeBytes { CompactToken.header($0) }
    (algorithm, keyID) = try read.get()
    self.payload = payload
    self.signature = signature
    signed = token[..<parts[1].endIndex]
  }

  private static func header(
    _ text: UnsafeRawBufferPointer
  ) -> Result<(TokenAlgorithm, [UInt8]?), TokenRefusal> {
    guard let members = JSONUniqueMembers.members(of: text) else { return .failure(.malformed) }
    var name: JSONString?
    var keyID: [UInt8]?
    for member in members {
      if ASCII.equals(member.name, "alg") {
        name = member.value.string
      } else if ASCII.equals(member.name, "kid") {
        keyID = member.value.string?.unescaped()
        if keyID == nil { return .failure(.malformed) }
      } else if ASCII.equals(member.name, "crit") {
        // There is no extension that we know, and who does not know these has to refuse (RFC 7515, 4.1.11).
        return .failure(.malformed)
      }
    }
    guard let name else { return .failure(.malformed) }
    guard let algorithm = TokenAlgorithm(named: name) else { return .failure(.algorithm) }
    return .success((algorithm, keyID))
  }
}
