@testable import Millstream

private let secret = Array("s3cret".utf8)
private let names = SignedNames(secrets: [Array("new".utf8), secret])

/// Any bytes, as a signed name, as a name, as what was signed, and as JSON.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSignedNames(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: data, count: size))
  checkName(names.verify(bytes, at: 0))
  checkRoundTrips(bytes)
  checkSigned(bytes)
  checkJSON(bytes)
  return 0
}

private func checkName(_ name: String?) {
  guard let name else { return }
  precondition((1...SignedNames.maximumNameBytes).contains(name.utf8.count))
  precondition(!name.utf8.contains(where: ASCII.isControl))
}

private func checkRoundTrips(_ bytes: [UInt8]) {
  precondition(Base64.decode(Base64.encode(bytes)) == bytes)
  precondition(Hexadecimal.decode(Hexadecimal.encode(bytes)) == bytes)
  if let decoded = Base64.decode(bytes) { precondition(Base64.encode(decoded) == bytes) }
  if let time = Timestamp.unixTime(of: bytes) { precondition(abs(time) < 1 << 40) }
  let name = String(decoding: bytes, as: UTF8.self)
  if let signed = names.sign(name) {
    precondition(names.verify(signed.utf8, at: 0).map { $0.utf8.elementsEqual(name.utf8) } == true)
    precondition(names.verify(signed.utf8.dropFirst(), at: 0) == nil)
  }
}

/// Gets the bytes past the signature, into the JSON and the envelopes.
private func checkSigned(_ bytes: [UInt8]) {
  let encoded = Base64.encode(bytes)
  let mac = SignedNames.mac(of: encoded[...], secret: secret)
  let name = names.verify(encoded + Array("--".utf8) + mac, at: 1_769_860_800)
  checkName(name)
}

private func checkJSON(_ bytes: [UInt8]) {
  // Text that is UTF-8 goes through the escaping unchanged; other text is refused.
  let isText = String(validating: bytes, as: UTF8.self) != nil
  let json = JSONString.encode(bytes)
  let back = json.withUnsafeBytes { JSONScanner.value(of: $0)?.string?.unescaped() }
  precondition(back == (isText ? bytes : nil), "escaping changed the text")

  bytes.withUnsafeBytes { text in
    guard let value = JSONScanner.value(of: text) else { return }
    precondition(isText, "JSON that is not UTF-8")
    guard let string = value.string?.unescaped() else { return }
    precondition(String(validating: string, as: UTF8.self) != nil, "a string that is not UTF-8")
  }
}
