import ArgumentParser
import Millstream

/// How many clients are let in, and what the others are told.
struct LimitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How many connections of one address, in all loops; an IPv6 /64 counts as one; 0: any number.",
      valueName: "n"))
  var maxPerAddress = 0

  @Option(
    help: ArgumentHelp(
      "How many of one member, as its token or the application calls it.", valueName: "n"))
  var maxPerMember = 0

  @Option(help: ArgumentHelp("How many to one stream.", valueName: "n"))
  var maxPerStream = 0

  @Option(
    help: ArgumentHelp(
      "How many may ask within a second for what there is, in all loops; after a quiet second so many at once.",
      valueName: "n"))
  var acceptRate = 0

  @Option(
    help: ArgumentHelp(
      "A proxy whose X-Forwarded-For is believed: an address, a range or 'unix'; repeatable.",
      valueName: "cidr"))
  var trustedProxy: [String] = []

  @Option(
    help: ArgumentHelp(
      "Refuse for now with 200 and an end, so that a browser comes back: always, native or never.",
      discussion: """
        Never: 503, or 429 where there are too many of an address or a member. Native: not at --pgmq-prefix.
        """, valueName: "where"))
  var refuseSoftly = SoftRefusals.native

  static let environmentOptions: [EnvironmentOption] = [
    .value("max-per-address"), .value("max-per-member"), .value("max-per-stream"),
    .value("accept-rate"), .list("trusted-proxy"), .value("refuse-softly"),
  ]

  private static let maximum = 1_000_000_000

  func validate() throws {
    for (name, limit) in [
      ("max-per-address", maxPerAddress), ("max-per-member", maxPerMember),
      ("max-per-stream", maxPerStream), ("accept-rate", acceptRate),
    ] where !(0...LimitOptions.maximum).contains(limit) {
      throw ValidationError("--\(name) is from 0 to \(LimitOptions.maximum)")
    }
    _ = try proxies()
  }

  private func proxies() throws -> [TrustedProxy] {
    do {
      return try trustedProxy.map { text throws in try TrustedProxy(text) }
    } catch {
      throw ValidationError("--trusted-proxy: \(error)")
    }
  }

  /// - Throws: which proxy is none.
  func apply(to endpoint: inout EndpointConfiguration) throws {
    endpoint.limits.perAddress = maxPerAddress
    endpoint.limits.perMember = maxPerMember
    endpoint.limits.perStream = maxPerStream
    endpoint.limits.acceptsPerSecond = acceptRate
    endpoint.trustedProxies = try proxies()
    endpoint.refusesSoftly = refuseSoftly
  }
}

extension SoftRefusals: ExpressibleByArgument {}
