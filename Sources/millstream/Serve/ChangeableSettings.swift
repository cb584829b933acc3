import Logging
import Millstream

/// What a running server can go on with in place of what it was started with.
struct ChangeableSettings: Sendable {
  var endpoint: EndpointConfiguration
  /// In one loop.
  var maxConnections: Int
  var retryMs: Int64
  var drainMs: Int64
  var logLevel: Logger.Level
  /// Nil: nobody may do anything at the admin address.
  var adminToken: AdminToken?
}

extension Serve {
  /// The options that can change while it runs, without the dashes; the others need a restart.
  static let changeableOptions: Set<String> = [
    "secret-file", "jwt-secret-file", "jwt-key-file", "jwks-file", "jwt-audience", "jwt-issuer",
    "public", "allow-origin", "head-timeout", "retry", "max-connections", "drain", "log-level",
    "admin-token-file",
    "max-per-address", "max-per-member", "max-per-stream", "accept-rate", "trusted-proxy",
    "refuse-softly",
  ]

  /// The command as it would be given now, and its arguments: what was typed, the environment, the file of
  /// options, and the files that they name.
  ///
  /// - Throws: what is wrong with it.
  static func givenAnew() throws -> (serve: Serve, arguments: [String]) {
    let given = try GivenArguments()
    do {
      guard let serve = try MillstreamCommand.parseAsRoot(given.arguments) as? Serve else {
        throw OperatingFailure("it is no longer 'serve'")
      }
      return (serve, given.arguments)
    } catch {
      throw OperatingFailure(given.message(for: error))
    }
  }

  /// This one with all of the other's options that can change.
  func taking(changesOf other: Serve) -> Serve {
    var merged = self
    merged.secrets = other.secrets
    merged.tokens.jwtSecretFile = other.tokens.jwtSecretFile
    merged.tokens.jwtKeyFile = other.tokens.jwtKeyFile
    merged.tokens.jwksFile = other.tokens.jwksFile
    merged.tokens.jwtAudience = other.tokens.jwtAudience
    merged.tokens.jwtIssuer = other.tokens.jwtIssuer
    merged.publicPatterns = other.publicPatterns
    merged.allowOrigin = other.allowOrigin
    merged.headTimeout = other.headTimeout
    merged.retry = other.retry
    merged.maxConnections = other.maxConnections
    merged.drain = other.drain
    merged.limits = other.limits
    merged.log.logLevel = other.log.logLevel
    merged.adminOptions.adminTokenFile = other.adminOptions.adminTokenFile
    return merged
  }

  /// Reads the files, so it may take its time.
  ///
  /// - Throws: `ValidationError` that says which file is not in order.
  func changeableSettings(_ logger: Logger) throws -> ChangeableSettings {
    let endpoint = try endpointConfiguration(logger)
    warnOfDescriptors(logger)
    if let path = secrets.secretFile, endpoint.secrets.isEmpty {
      throw OperatingFailure("there is no secret in \(path)")
    }
    return ChangeableSettings(
      endpoint: endpoint, maxConnections: Server.share(of: configuration(), loops: loopCount),
      retryMs: retry.milliseconds, drainMs: drain.milliseconds, logLevel: log.logLevel,
      adminToken: try adminOptions.load().token)
  }
}
