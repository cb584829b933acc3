import CLibCrypto

/// Signs any bytes, also what `SignedNames.sign` would never sign.
enum SignatureOracle {
  static func sign(_ encoded: [UInt8], secret: [UInt8]) -> String {
    var code = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 0
    HMAC(EVP_sha256(), secret, Int32(secret.count), encoded, encoded.count, &code, &length)
    let digits = code.map { byte in
      let text = String(byte, radix: 16)
      return byte < 16 ? "0" + text : text
    }
    return String(decoding: encoded, as: UTF8.self) + "--" + digits.joined()
  }
}
