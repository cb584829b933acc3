import ArgumentParser
import Testing

@testable import millstream

@Suite struct SettingsFileTests {
  private func file(_ text: String) throws -> SettingsFile {
    try SettingsFile(path: "m.toml", contents: Array(text.utf8))
  }

  private func arguments(_ typed: [String], _ text: String) throws -> [String] {
    try EnvironmentOptions.adding(to: typed, settings: try file(text))
  }

  @Test func optionsAreGivenAsIfTyped() throws {
    let text = """
      listen = ["127.0.0.1:1", "unix:/run/with space"]
      max-connections = 1_000
      heartbeat = "9s"
      reuse-port = true
      """
    let serve = try Serve.parse(Array(try arguments(["serve"], text).dropFirst()))
    #expect(serve.listen == ["127.0.0.1:1", "unix:/run/with space"])
    #expect(serve.maxConnections == 1000)
    #expect(serve.heartbeat.milliseconds == 9_000)
    #expect(serve.reusePort)
  }

  @Test func whatIsTypedGoesBefore() throws {
    let text = "listen = [\"a:1\"]\ndrain = \"1s\"\nreuse-port = false"
    #expect(
      try arguments(["serve", "--listen", "b:2"], text) == [
        "serve", "--drain=1s", "--listen", "b:2",
      ])
    #expect(
      try arguments(["serve", "--drain=2s"], text) == ["serve", "--listen=a:1", "--drain=2s"])
  }

  @Test func commandsTakeWhatTheyHave() throws {
    let text = "database = \"d\"\nstore = \"both\"\nqueue-prefix = \"q\"\ndrain = \"1s\""
    #expect(
      try arguments(["publish", "x"], text) == ["publish", "--database=d", "--queue-prefix=q", "x"])
    #expect(try arguments(["sign", "x"], text) == ["sign", "x"])
  }

  @Test(arguments: [
    ("x = 1", "m.toml:1: there is no option 'x' of 'serve'"),
    (
      "\nmax_connections = 1",
      "m.toml:2: there is no option 'max_connections' of 'serve'; 'max-connections' is meant"
    ),
    ("--drain = \"1s\"", "m.toml:1: there is no option '--drain' of 'serve'; 'drain' is meant"),
    ("listen = \"a:1\"", "m.toml:1: listen is a list: [\"…\", \"…\"]"),
    ("listen = [true]", "m.toml:1: listen is a list: [\"…\", \"…\"]"),
    ("drain = true", "m.toml:1: drain is a text in quotes or a number"),
    ("drain = [\"1s\"]", "m.toml:1: drain is a text in quotes or a number"),
    ("reuse-port = \"yes\"", "m.toml:1: reuse-port is true or false"),
    ("config = \"a\"", "m.toml:1: a file of options cannot name another one"),
    ("drain = \"1s\"\ndrain = \"2s\"", "m.toml:2: 'drain' is set in line 1 already"),
  ])
  func whatIsNotInOrderIsSaid(text: String, message: String) {
    let error = #expect(throws: ValidationError.self) { try file(text) }
    #expect(error?.message == message)
  }

  @Test func linesOfWrongValuesAreFound() throws {
    let settings = try file("listen = [\"x\"]\n\nlisten-database = \"\"\nloops = 0")
    let located = { settings.located($0) { $0 == "loops" } }
    #expect(located("--listen: no") == "m.toml:1: --listen: no")
    #expect(located("'--listen-database <url>'") == "m.toml:3: '--listen-database <url>'")
    #expect(
      located("--listen and --listen-database")
        == "m.toml:1: m.toml:3: --listen and --listen-database")
    // It is from elsewhere.
    #expect(located("--loops is from 1") == "--loops is from 1")
    #expect(located("--drain") == "--drain")
  }

  @Test func aFileThatIsTooLargeIsRefused() {
    #expect(throws: ValidationError.self) { try SettingsFile.load("/dev/zero") }
    #expect(throws: ValidationError.self) { try SettingsFile.load("/") }
  }
}
