import Testing

@testable import Millstream

/// Files of keys: what is taken, and what is refused before it can let anybody in.
@Suite struct TokenKeyTests {
  private typealias Vectors = TokenVectors

  private static let smallRSA = """
    -----BEGIN PUBLIC KEY-----
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCaoWmKiA+F+Wyva56E/XAVuJ4S
    0H1AEqI1u0hEycDTHKTQ+Sa5MXRlPrBzA8FQoMRma/AsizJOy1aE+JgJmkPTd5XS
    C4+fTCb+LVo+VeABnQShrEPG0zmaA8N9BLKQ4QosNdHBlonQKoXWCs7Gfmzprtw0
    mLWJbY85HJpTSHh2AQIDAQAB
    -----END PUBLIC KEY-----

    """
  private static let otherCurve = """
    -----BEGIN PUBLIC KEY-----
    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEOJcG2b+A1heu62iykSQbhq/T8j09k3uB
    cdtidyFZFQ96s/EbkjDjbXpydZ79ABMw3r5g6VKKWXVcG4BphFjhpqUytL8ZxTEB
    mxmP6W1yUvVtwqd8fWFjqJuvYY8M0yUq
    -----END PUBLIC KEY-----

    """

  private func error(ofPEM text: String) -> TokenKeyError? {
    do throws(TokenKeyError) {
      _ = try TokenKey.keys(fromPEM: Array(text.utf8))
      return nil
    } catch { return error }
  }

  private func error(ofJWKS text: String) -> TokenKeyError? {
    do throws(TokenKeyError) {
      _ = try TokenKey.keys(fromJWKS: Array(text.utf8), allowsSecrets: true)
      return nil
    } catch { return error }
  }

  @Test func severalKeysInOneFile() throws {
    let text = "about these keys\n" + Vectors.es256PEM + "\nand this one\n" + Vectors.edDSAPEM
    let keys = try TokenKey.keys(fromPEM: Array(text.utf8))
    #expect(keys.map(\.algorithm) == [.es256, .edDSA])
    #expect(Vectors.refusal(of: Vectors.es256, keys: keys, at: Vectors.then) == nil)
  }

  @Test func filesWithoutAKeyThatCanBeUsed() {
    #expect(error(ofPEM: "") == .noKey)
    #expect(error(ofPEM: "no key") == .noKey)
    #expect(error(ofPEM: Self.smallRSA) == .unusable(number: 1))
    #expect(error(ofPEM: Vectors.edDSAPEM + Self.otherCurve) == .unusable(number: 2))
    let halfWritten = Vectors.es256PEM + String(Vectors.edDSAPEM.prefix(60))
    #expect(error(ofPEM: halfWritten) == .cutOff(number: 2))
    #expect(error(ofPEM: String(Vectors.es256PEM.prefix(60))) == .cutOff(number: 1))
    let broken = Vectors.es256PEM.replacing("MFkw", with: "MFkx")
    #expect(error(ofPEM: broken) == .unusable(number: 1))
    let noPoint = Vectors.es256PEM.replacing("f83OJ3D2", with: "f83OJ3D3")
    #expect(error(ofPEM: noPoint) == .unusable(number: 1))
    let isPrivate = Vectors.edDSAPEM.replacing("PUBLIC", with: "PRIVATE")
    #expect(error(ofPEM: isPrivate) == .privateKey)
    let many = String(repeating: Vectors.edDSAPEM, count: TokenKey.maximumKeys + 1)
    #expect(error(ofPEM: many) == .tooManyKeys)
  }

  @Test func setsOfKeys() throws {
    let keys = try Vectors.keys(
      Vectors.rs256Key.replacing("{", with: #"{"use":"sig","alg":"RS256","kid":"a","#),
      Vectors.es256Key.replacing("{", with: #"{"key_ops":["verify"],"#), Vectors.edDSAKey,
      Vectors.hs256Key)
    #expect(keys.map(\.algorithm) == [.rs256, .es256, .edDSA, .hs256])
    #expect(keys[0].id == Array("a".utf8) && keys[1].id == nil)
  }

  /// RFC 7517, 5: what is not understood, or not in order, is left out.
  @Test(arguments: [
    Vectors.rs256Key.replacing("{", with: #"{"use":"enc","#),
    Vectors.rs256Key.replacing("{", with: #"{"key_ops":["encrypt"],"#),
    Vectors.rs256Key.replacing("{", with: #"{"alg":"RS512","#),
    Vectors.rs256Key.replacing("{", with: #"{"alg":"HS256","#),
    Vectors.hs256Key.replacing("{", with: #"{"alg":"RS256","#),
    Vectors.es256Key.replacing("P-256", with: "P-384"),
    Vectors.es256Key.replacing("f83O", with: "f83P"),
    Vectors.edDSAKey.replacing("Ed25519", with: "X25519"),
    Vectors.edDSAKey.replacing("11qY", with: "1"),
    #"{"kty":"RSA","e":"AQAB","n":"AQAB"}"#, #"{"kty":"oct","k":""}"#, #"{"kty":"oct"}"#,
    #"{"kty":"zzz"}"#, "{}", "1", #"{"kty":"oct","k":"QUFB","k":"QUFB"}"#,
  ])
  func keysThatAreLeftOut(key: String) throws {
    #expect(error(ofJWKS: #"{"keys":[\#(key)]}"#) == .noKey)
    #expect(try Vectors.keys(key, Vectors.edDSAKey).count == 1)
  }

  @Test func whatIsNoSet() {
    for text in ["", "[]", "{}", #"{"keys":{}}"#, #"{"keys":[],"keys":[]}"#, #"{"keys":[1,]}"#] {
      #expect(error(ofJWKS: text) == .notJWKS, "\(text)")
    }
    #expect(error(ofJWKS: #"{"keys":[]}"#) == .emptySet)
    #expect(error(ofJWKS: #"{"keys":[{}]}"#) == .noKey)
    let blanks = String(repeating: " ", count: TokenKey.maximumSetBytes)
    #expect(error(ofJWKS: #"{"keys":[]}"# + blanks) == .setTooLong)
    let many = Array(repeating: Vectors.edDSAKey, count: TokenKey.maximumKeys + 1)
    #expect(error(ofJWKS: #"{"keys":[\#(many.joined(separator: ","))]}"#) == .tooManyKeys)
  }

  @Test func secretsAreNotTakenFromWhatEverybodyCanRead() {
    let set = Array(#"{"keys":[\#(Vectors.hs256Key)]}"#.utf8)
    #expect(throws: TokenKeyError.noKey) {
      try TokenKey.keys(fromJWKS: set, allowsSecrets: false)
    }
  }
}
