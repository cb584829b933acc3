import Logging
import Testing

@testable import millstream

@Suite struct ReloadTests {
  @Test func whatCanChangeChangesAndTheRestStays() throws {
    let old = try Serve.parse(["--listen", "127.0.0.1:1", "--heartbeat", "15s", "--loops", "2"])
    let new = try Serve.parse([
      "--listen", "127.0.0.1:2", "--heartbeat", "1s", "--loops", "3", "--max-connections", "10",
      "--retry", "9s", "--log-level", "debug", "--drain", "1s", "--head-timeout", "3s",
      "--public", "demo:*", "--allow-origin", "*", "--max-per-address", "1", "--max-per-member",
      "2", "--max-per-stream", "3", "--accept-rate", "4", "--trusted-proxy", "10.0.0.0/8",
      "--refuse-softly", "always",
    ])
    let merged = old.taking(changesOf: new)
    #expect(merged.listen == ["127.0.0.1:1"])
    #expect(merged.heartbeat.milliseconds == 15_000)
    let settings = try merged.changeableSettings(Logger(label: "test"))
    #expect(settings.maxConnections == 5)
    #expect(settings.retryMs == 9_000)
    #expect(settings.drainMs == 1_000)
    #expect(settings.logLevel == .debug)
    #expect(settings.endpoint.headTimeoutMs == 3_000)
    #expect(settings.endpoint.publicPatterns == ["demo:*"])
    #expect(settings.endpoint.allowedOrigins == ["*"])
    let limits = settings.endpoint.limits
    #expect(limits.perAddress == 1 && limits.perMember == 2)
    #expect(limits.perStream == 3 && limits.acceptsPerSecond == 4)
    #expect(settings.endpoint.trustedProxies.map(\.description) == ["10.0.0.0/8"])
    #expect(settings.endpoint.refusesSoftly == .always)
  }

  @Test func aFileWithoutASecretIsFaulty() throws {
    let serve = try Serve.parse(["--secret-file", "/dev/null"])
    #expect(throws: OperatingFailure.self) {
      try serve.changeableSettings(Logger(label: "test"))
    }
  }

  @Test func everyOptionThatCanChangeIsOne() {
    let names = Set(Serve.environmentOptions.map(\.name))
    #expect(Serve.changeableOptions.subtracting(names) == [])
  }

  @Test func differencesAreFoundHoweverTheyAreWritten() {
    let before = OptionValues(["serve", "--listen=a", "--listen", "b", "--retry", "1s", "--flag"])
    let same = OptionValues(["serve", "--listen", "a", "--listen=b", "--retry=1s", "--flag"])
    #expect(before.differing(from: same) == [])
    let after = OptionValues(["serve", "--listen=b", "--listen", "a", "--retry", "1s", "--more=="])
    #expect(before.differing(from: after) == ["flag", "listen", "more"])
  }

  @Test func levelOfALoggerIsThatOfAllItsCopies() {
    let logger = LogOptions.logger(.warning, .text)
    var copy = logger
    copy.logLevel = .trace
    #expect(logger.logLevel == .trace)
    #expect(LogOptions.logger(.info, .text).logLevel == .info)
  }
}
