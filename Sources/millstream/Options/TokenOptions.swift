import ArgumentParser
import Logging
import Millstream

/// What tokens (JWT) are verified with.
struct TokenOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Take tokens (JWT) signed with one of these secrets (HS256), one a line.", valueName: "path"),
    completion: .file())
  var jwtSecretFile: String?

  @Option(
    help: ArgumentHelp(
      "Take tokens signed for one of these public keys in PEM (RS256, ES256, EdDSA).",
      valueName: "path"), completion: .file())
  var jwtKeyFile: String?

  @Option(
    help: ArgumentHelp(
      "Take tokens signed with one of the keys of this JSON Web Key Set.", valueName: "path"),
    completion: .file())
  var jwksFile: String?

  @Option(
    help: ArgumentHelp(
      "The same, fetched from there, and again when a token names a key that is not known.",
      valueName: "url"))
  var jwksUrl: String?

  @Option(help: ArgumentHelp("Fetch them anew that often.", valueName: "time"))
  var jwksRefresh = DurationArgument(milliseconds: 300_000)

  @Option(
    help: ArgumentHelp("The audience that tokens have to be for ('aud').", valueName: "text"))
  var jwtAudience: String?

  @Option(
    help: ArgumentHelp("The issuer that tokens have to be from ('iss').", valueName: "text"))
  var jwtIssuer: String?

  static let environmentOptions: [EnvironmentOption] = [
    .value("jwt-secret-file"), .value("jwt-key-file"), .value("jwks-file"),
    .value("jwks-url"), .value("jwks-refresh"), .value("jwt-audience"), .value("jwt-issuer"),
  ]

  /// Whether tokens are taken.
  var hasKeys: Bool { [jwtSecretFile, jwtKeyFile, jwksFile, jwksUrl].contains { $0 != nil } }

  func validate() throws {
    guard hasKeys || (jwtAudience == nil && jwtIssuer == nil) else {
      throw ValidationError(
        """
        --jwt-audience and --jwt-issuer need --jwt-secret-file, --jwt-key-file, --jwks-file or \
        --jwks-url
        """)
    }
    if let jwksUrl { try URLArgument.check(jwksUrl, "--jwks-url") }
    guard jwksRefresh.milliseconds > 0 else { throw ValidationError("--jwks-refresh is above 0") }
  }

  /// Nil: tokens are not taken.
  ///
  /// - Throws: `ValidationError` that says which file is not in order.
  func load(_ logger: Logger) throws -> TokenSettings? {
    var keys: [TokenKey] = []
    if let jwtSecretFile { keys += try secrets(in: jwtSecretFile, logger) }
    if let jwtKeyFile {
      keys += try TokenOptions.read(jwtKeyFile, "--jwt-key-file") { text throws(TokenKeyError) in
        try TokenKey.keys(fromPEM: text)
      }
    }
    if let jwksFile {
      keys += try TokenOptions.read(jwksFile, "--jwks-file") { text throws(TokenKeyError) in
        try TokenKey.keys(fromJWKS: text, allowsSecrets: true)
      }
    }
    if keys.isEmpty && jwksUrl == nil { return nil }
    return TokenSettings(keys: keys, audience: jwtAudience, issuer: jwtIssuer)
  }

  /// Where the keys of `tokens` come from that are in no file.
  func source(_ tokens: TokenSettings?) -> TokenKeySource.Settings? {
    jwksUrl.map { url in
      TokenKeySource.Settings(
        url: url, refreshMs: jwksRefresh.milliseconds, otherKeys: tokens?.keys ?? [])
    }
  }

  private func secrets(in path: String, _ logger: Logger) throws -> [TokenKey] {
    let secrets: [[UInt8]]
    do {
      secrets = try SecretOptions.load(path)
    } catch {
      throw ValidationError("--jwt-secret-file: \(error)")
    }
    guard !secrets.isEmpty else {
      throw ValidationError("--jwt-secret-file: there is no secret in \(path)")
    }
    if secrets.contains(where: { $0.count < TokenKey.wantedSecretBytes }) {
      logger.warning(
        "a secret for tokens is shorter than it should be",
        metadata: ["bytes": "\(TokenKey.wantedSecretBytes)"])
    }
    return secrets.map { TokenKey(secret: $0) }
  }

  private static func read(
    _ path: String, _ option: String, _ keys: ([UInt8]) throws(TokenKeyError) -> [TokenKey]
  ) throws -> [TokenKey] {
    do {
      return try keys(try FileReader.contents(of: path))
    } catch {
      throw ValidationError("\(option): \(path): \(error)")
    }
  }
}
