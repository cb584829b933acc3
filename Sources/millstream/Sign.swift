import ArgumentParser
import Millstream

struct Sign: ParsableCommand, EnvironmentOptions.Source {
  static let configuration = CommandConfiguration(
    abstract: "Prints the signed name of a stream.",
    discussion: """
      What Rails' ActiveSupport::MessageVerifier makes of the name (SHA256, JSON): a server with the \
      same secret serves it at its prefix, '/streams/SIGNED'. Percent-encode it in a URL.
      """)

  @OptionGroup var config: ConfigOption
  @OptionGroup var secrets: SecretOptions

  @Flag(
    help: "Sign a pattern, as 'room:42:*': for all native streams that fit, on one connection.")
  var pattern = false

  @Argument(help: "The name of the stream.")
  var name: String

  static let environmentOptions = ConfigOption.environmentOptions + SecretOptions.environmentOptions

  func run() throws {
    StandardStreams.output(
      try Sign.signed(
        name, secrets: try secrets.load(), purpose: pattern ? SignedNames.patternPurpose : nil))
  }

  /// - Throws: `ValidationError` if there is no secret, or if no stream can have this name.
  static func signed(
    _ name: String, secrets: [[UInt8]], purpose: String? = nil
  ) throws -> String {
    guard !secrets.isEmpty else {
      throw ValidationError("there is no secret: give --secret-file or set MILLSTREAM_SECRET")
    }
    try StreamArgument.check(name)
    guard let signed = SignedNames(secrets: secrets, purpose: purpose).sign(name) else {
      throw ValidationError("the name cannot be signed")
    }
    return signed
  }
}
