import Testing

@testable import millstream

@Suite struct EnvironmentTests {
  @Test(arguments: [
    ("write-deadlin", "write-deadline"), ("wirte-deadline", "write-deadline"),
    ("max_connections", "max-connections"), ("lisetn", "listen"), ("Loops", "loops"),
    ("xx", nil), ("", nil), ("write", nil), ("nothing-like-it", nil),
  ])
  func nearestNameIsWhatIsMeant(name: String, meant: String?) {
    let known = ["write-deadline", "max-connections", "listen", "loops", "drain"]
    #expect(NearestName.of(name, among: known) == meant)
  }

  @Test func longNamesAreNotComparedWhole() {
    #expect(NearestName.of(String(repeating: "a", count: 1_000_000), among: ["a"]) == nil)
  }

  @Test func variablesOfOthersAreNotUnknown() {
    let names = [
      "MILLSTREAM_DRAIN", "MILLSTREAM_SECRET", "MILLSTREAM_EVENT", "MILLSTREAM_TIMEOUT", "PATH",
      "MILLSTREAM_PORT", "MILLSTREAM_PORT_80_TCP", "MILLSTREAM_SERVICE_PORT_HTTP",
      "MILLSTREAM_BIN", "MILLSTREAM_DRIAN",
    ]
    let unknown = UnknownVariables.among(names)
    #expect(unknown.map(\.name) == ["MILLSTREAM_BIN", "MILLSTREAM_DRIAN"])
    #expect(unknown.map(\.meant) == [nil, "MILLSTREAM_DRAIN"])
  }
}
