import CLibCrypto

extension TokenKey {
  /// Reads the public keys of a PEM file: `PUBLIC KEY`, `RSA PUBLIC KEY` and `CERTIFICATE`, one after
  /// the other. Text between them is left out.
  package static func keys(fromPEM text: [UInt8]) throws(TokenKeyError) -> [TokenKey] {
    guard let file = BIO_new_mem_buf(text, Int32(clamping: text.count)) else { throw .noKey }
    defer {
      BIO_free(file)
      ERR_clear_error()
    }
    var keys: [TokenKey] = []
    while let block = PEMBlock(from: file) {
      guard !block.isPrivate else { throw .privateKey }
      guard let key = PublicKey(block.key) else { throw .unusable(number: keys.count + 1) }
      guard keys.count < maximumKeys else { throw .tooManyKeys }
      keys.append(TokenKey(key))
    }
    // Such as one that is being written.
    guard ms_pem_has_ended() else { throw .cutOff(number: keys.count + 1) }
    guard !keys.isEmpty else { throw .noKey }
    return keys
  }
}

/// One block of a PEM file.
private struct PEMBlock {
  let isPrivate: Bool
  /// Nil: it is none that can be read.
  let key: OpaquePointer?

  /// The next one; nil: there is none, or what follows is malformed.
  init?(from file: OpaquePointer) {
    var type: UnsafeMutablePointer<CChar>?
    var header: UnsafeMutablePointer<CChar>?
    var der: UnsafeMutablePointer<UInt8>?
    var count = 0
    guard PEM_read_bio(file, &type, &header, &der, &count) == 1, let type else { return nil }
    isPrivate = strstr(type, "PRIVATE KEY") != nil
    key = isPrivate ? nil : ms_key_from_der(type, der, count)
    OPENSSL_cleanse(der, count)
    for memory in [UnsafeMutableRawPointer(type), UnsafeMutableRawPointer(header), .init(der)] {
      ms_openssl_free(memory)
    }
  }
}
