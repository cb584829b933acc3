import Testing

@testable import Millstream

/// Tokens: the examples of the standards, and those that somebody makes up.
@Suite struct TokenVerifierTests {
  private typealias Vectors = TokenVectors

  // MARK: Signatures

  @Test(arguments: [
    (Vectors.hs256, Vectors.hs256Key), (Vectors.rs256, Vectors.rs256Key),
    (Vectors.es256, Vectors.es256Key),
  ])
  func tokensOfTheStandardAreValid(token: String, key: String) throws {
    let keys = try Vectors.keys(key)
    #expect(Vectors.refusal(of: token, keys: keys, at: Vectors.then) == nil)
    #expect(Vectors.refusal(of: token, keys: keys, issuer: "joe", at: Vectors.then) == nil)
    #expect(Vectors.refusal(of: token, keys: keys, issuer: "jo", at: Vectors.then) == .issuer)
    #expect(Vectors.refusal(of: token, keys: keys, at: Vectors.then + 30) == nil)
    #expect(Vectors.refusal(of: token, keys: keys, at: Vectors.then + 31) == .expired)
  }

  /// What is signed there is no JSON: that is found out after the signature.
  @Test func edDSAOfTheStandard() throws {
    let keys = try Vectors.keys(Vectors.edDSAKey)
    #expect(Vectors.refusal(of: Vectors.edDSA, keys: keys) == .claims)
    let pem = try TokenKey.keys(fromPEM: Array(Vectors.edDSAPEM.utf8))
    #expect(Vectors.refusal(of: Vectors.edDSA, keys: pem) == .claims)
  }

  @Test(arguments: [
    (Vectors.hs256, Vectors.hs256Key), (Vectors.rs256, Vectors.rs256Key),
    (Vectors.es256, Vectors.es256Key), (Vectors.edDSA, Vectors.edDSAKey),
  ])
  func everyChangedByteIsFoundOut(token: String, key: String) throws {
    let keys = try Vectors.keys(key)
    let bytes = Array(token.utf8)
    // Of those that still are base64 and JSON, some bytes before and many behind the last dot.
    for place in stride(from: bytes.count - 1, to: 0, by: -7) where bytes[place] != 0x2e {
      var changed = bytes
      changed[place] = bytes[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      let refusal = Vectors.refusal(
        of: String(decoding: changed, as: UTF8.self), keys: keys, at: Vectors.then)
      #expect([.signature, .malformed, .algorithm].contains(refusal), "byte \(place)")
    }
  }

  @Test func anyOfTheKeysWillDo() throws {
    let keys = try Vectors.keys(
      Vectors.edDSAKey, Vectors.hs256Key, Vectors.rs256Key, Vectors.es256Key)
    for token in [Vectors.hs256, Vectors.rs256, Vectors.es256] {
      #expect(Vectors.refusal(of: token, keys: keys, at: Vectors.then) == nil)
    }
  }

  // MARK: Hostile tokens

  @Test(arguments: ["none", "None", "NONE", "", "HS384", "RS512", "PS256", "ES256K", "hs256"])
  func algorithmsThatAreNotTaken(name: String) {
    let header = #"{"alg":"\#(name)"}"#
    #expect(Vectors.refusal(of: Vectors.signed("{}", header: header)) == .algorithm)
    let head = String(decoding: Base64URL.encode(header.utf8), as: UTF8.self)
    #expect(Vectors.refusal(of: "\(head).e30.") == .algorithm)
  }

  /// The oldest trick: a public key, which everybody has, as the secret of an HMAC.
  @Test func publicKeyIsNoSecret() throws {
    let keys = try TokenKey.keys(fromPEM: Array(Vectors.es256PEM.utf8))
    let token = Vectors.signed("{}", secret: Array(Vectors.es256PEM.utf8))
    #expect(Vectors.refusal(of: token, keys: keys) == .algorithm)
    let both = try Vectors.keys(Vectors.rs256Key, Vectors.hs256Key)
    let modulus = Base64URL.decode(Vectors.rs256Key.dropFirst(32).prefix(342).utf8) ?? []
    #expect(Vectors.refusal(of: Vectors.signed("{}", secret: modulus), keys: both) == .signature)
  }

  @Test func algorithmIsBoundToTheNamedKey() throws {
    let keys = try Vectors.keys(
      Vectors.rs256Key.replacing("{", with: #"{"kid":"a","#),
      Vectors.hs256Key.replacing("{", with: #"{"kid":"b","#))
    let secret = Base64URL.decode(Vectors.hs256Key.dropFirst(18).dropLast(2).utf8) ?? []
    func token(_ header: String) -> String { Vectors.signed("{}", header: header, secret: secret) }
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256","kid":"b"}"#), keys: keys) == nil)
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256"}"#), keys: keys) == nil)
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256","kid":"a"}"#), keys: keys) == .algorithm)
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256","kid":"c"}"#), keys: keys) == .unknownKey)
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256","kid":7}"#), keys: keys) == .malformed)
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256"}"#), keys: []) == .unknownKey)
  }

  @Test func keyWithoutANameTakesTokensThatNameOne() {
    let token = Vectors.signed("{}", header: #"{"alg":"HS256","kid":"any"}"#)
    #expect(Vectors.refusal(of: token) == nil)
  }

  /// As where some keys are in a file without names, and others are fetched: it may be one that is to come.
  @Test func oneThatIsNotSignedWithAKeyWithoutANameMayBeSignedWithTheOneThatItNames() {
    func token(_ header: String) -> String {
      Vectors.signed("{}", header: header, secret: Array("another".utf8))
    }
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256","kid":"new"}"#)) == .unknownKey)
    #expect(Vectors.refusal(of: token(#"{"alg":"HS256"}"#)) == .signature)
  }

  @Test(arguments: [
    "", ".", "..", "...", "e30", "e30.e30", "e30.e30.e30", "a.b.c", "eyJhbGciOiJIUzI1NiJ9..",
    "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30=.AAAA",
    "eyJhbGciOiJIUzI1NiJ9.e3 0.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.A/+A", "!!!.???.###",
    "eyJhbGciOiJIUzI1NiJ.e30.AAAA", "\u{0}.\u{0}.\u{0}",
  ])
  func whatIsNoTokenIsRefused(token: String) {
    #expect([.malformed, .signature].contains(Vectors.refusal(of: token)))
  }

  @Test(arguments: [
    #"{"alg":"HS256","alg":"HS256"}"#, #"{"alg":"none","alg":"HS256"}"#,
    #"{"alg":"HS256","\u0061lg":"none"}"#, #"{"alg":"HS256","crit":["exp"]}"#,
    #"{"alg":["HS256"]}"#, #"{"alg":null}"#, "{}", "[]", "null", #"{"alg":"HS256"}{}"#,
    #"{"alg":"HS256",}"#, #""alg""#,
  ])
  func headersThatAreNotInOrder(header: String) {
    #expect(Vectors.refusal(of: Vectors.signed("{}", header: header)) == .malformed)
  }

  @Test func nestedJSONIsRefusedAndNotFollowed() {
    let deep = String(repeating: #"{"a":"#, count: 900) + "1" + String(repeating: "}", count: 900)
    #expect(Vectors.refusal(of: Vectors.signed(deep)) == .claims)
    #expect(Vectors.refusal(of: Vectors.signed("{}", header: deep)) == .malformed)
  }

  @Test func tokenHasALimit() {
    func token(_ count: Int) -> String {
      Vectors.signed(#"{"x":""# + String(repeating: "x", count: count) + #""}"#)
    }
    #expect(Vectors.refusal(of: token(6_000)) == nil)
    #expect(Vectors.refusal(of: token(6_100)) == .tooLong)
    #expect(Vectors.refusal(of: String(repeating: "a", count: 1 << 20)) == .tooLong)
  }

  @Test func everyBeginningOfATokenIsRefused() {
    let token = Vectors.signed(#"{"streams":["*"]}"#)
    for length in 0..<token.utf8.count {
      #expect(Vectors.refusal(of: String(token.prefix(length))) != nil)
    }
  }

  // MARK: Claims

  @Test(arguments: [
    #"{"exp":"1300"}"#, #"{"exp":null}"#, #"{"exp":1e300}"#, #"{"exp":9223372036854775807}"#,
    #"{"nbf":true}"#, #"{"nbf":-9223372036854775808}"#, #"{"iss":1}"#, #"{"aud":1}"#,
    #"{"aud":[1]}"#, #"{"sub":1}"#, #"{"sub":""# + String(repeating: "x", count: 513) + #""}"#,
    #"{"streams":"*"}"#, #"{"streams":[1]}"#,
    #"{"streams":[["*"]]}"#, #"{"streams":{"0":"*"}}"#, #"{"labels":"a"}"#, #"{"labels":[null]}"#,
    #"{"sub":"a","sub":"b"}"#, #"{"exp":2000,"\u0065xp":3000}"#, "[]", "1", "",
  ])
  func claimsOfOtherTypes(claims: String) {
    #expect(Vectors.refusal(of: Vectors.signed(claims)) == .claims)
  }

  @Test func listsHaveLimits() {
    func list(_ count: Int) -> String {
      "[" + Array(repeating: #""a""#, count: count).joined(separator: ",") + "]"
    }
    #expect(Vectors.refusal(of: Vectors.signed(#"{"streams":\#(list(32))}"#)) == nil)
    #expect(Vectors.refusal(of: Vectors.signed(#"{"streams":\#(list(33))}"#)) == .claims)
    #expect(Vectors.refusal(of: Vectors.signed(#"{"labels":\#(list(64))}"#)) == nil)
    #expect(Vectors.refusal(of: Vectors.signed(#"{"labels":\#(list(65))}"#)) == .claims)
  }

  @Test(
    arguments: [
      (#"{"exp":971}"#, nil), (#"{"exp":970}"#, .expired), (#"{"exp":970.9}"#, .expired),
      (#"{"exp":1e3}"#, nil), (#"{"exp":0}"#, .expired), (#"{"exp":-1}"#, .expired),
      (#"{"nbf":1030}"#, nil), (#"{"nbf":1031}"#, .notYetValid), (#"{}"#, nil),
    ] as [(String, TokenRefusal?)])
  func timesHaveALeeway(claims: String, refusal: TokenRefusal?) {
    #expect(Vectors.refusal(of: Vectors.signed(claims), at: 1_000) == refusal)
  }

  @Test(
    arguments: [
      (#"{"aud":"us"}"#, "us", nil), (#"{"aud":["them","us"]}"#, "us", nil),
      (#"{"aud":"them"}"#, "us", .audience), (#"{"aud":[]}"#, "us", .audience),
      (#"{}"#, "us", .audience), (#"{"aud":"us"}"#, nil, .audience), (#"{}"#, nil, nil),
    ] as [(String, String?, TokenRefusal?)])
  func audience(claims: String, ours: String?, refusal: TokenRefusal?) {
    #expect(Vectors.refusal(of: Vectors.signed(claims), audience: ours) == refusal)
  }

  @Test func issuerHasToBeSaid() {
    #expect(Vectors.refusal(of: Vectors.signed("{}"), issuer: "us") == .issuer)
    #expect(Vectors.refusal(of: Vectors.signed(#"{"iss":"us"}"#), issuer: "us") == nil)
    #expect(Vectors.refusal(of: Vectors.signed(#"{"iss":"us"}"#)) == nil)
  }

  @Test func grantIsWhatTheTokenSays() throws {
    let token = Vectors.signed(
      #"{"sub":"m\u0061x","labels":["a","b","a"],"streams":["room:*","a"],"exp":1100}"#)
    let verifier = TokenVerifier(TokenSettings(keys: [TokenKey(secret: Vectors.secret)]))
    let grant = try verifier.verify(Array(token.utf8), at: 1_000)
    #expect(grant.member == "max" && grant.labels == ["a", "b"] && grant.endsAt == 1_100)
    let opens = { (name: String) in grant.patterns.contains { $0.matches(name.utf8) } }
    for name in ["room:1", "room:", "a"] { #expect(opens(name)) }
    for name in ["", "room", "b", "aa"] { #expect(!opens(name)) }
    let late = try verifier.verify(Array(token.utf8), at: 1_110)
    #expect(late.endsAt == 1_130, "the leeway is not for closing at once")
  }
}
