/// Why keys are refused; never says what is in them.
package enum TokenKeyError: Error, Equatable, CustomStringConvertible {
  case noKey
  case tooManyKeys
  case privateKey
  /// The first is 1.
  case unusable(number: Int)
  /// The first is 1.
  case cutOff(number: Int)
  case notJWKS
  /// A set in order, with nothing in it.
  case emptySet
  case setTooLong

  package var description: String {
    switch self {
    case .noKey: "there is no key in it that could verify a token"
    case .tooManyKeys: "there are more than \(TokenKey.maximumKeys) keys in it"
    case .privateKey: "there is a private key in it; the public one is enough"
    case .unusable(let number):
      "key \(number) is none of RSA (2048 bits or more), P-256 and Ed25519"
    case .cutOff(let number): "key \(number) has no end, or is malformed"
    case .notJWKS: "it is no JSON Web Key Set"
    case .emptySet: "there is no key in it"
    case .setTooLong: "it has more than \(TokenKey.maximumSetBytes) bytes"
    }
  }
}

extension TokenKey {
  /// A token that names no key is tried with every one of its algorithm.
  package static let maximumKeys = 64
}
