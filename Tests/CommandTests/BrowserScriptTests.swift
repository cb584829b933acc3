import Testing

@testable import millstream

struct BrowserScriptTests {
  @Test func whatIsServedIsTheCodeAlone() {
    let lines = BrowserScript.served.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.last == "")
    #expect(lines.dropLast().allSatisfy { !$0.isEmpty && $0.first != " " })
    #expect(!lines.contains { $0.hasPrefix("//") || $0.hasPrefix("/*") || $0.hasPrefix("*") })
    #expect(lines.contains("export class MillstreamSource extends EventTarget {"))
  }

  @Test(arguments: [
    ("/millstream.js", true), ("/a/b", true), ("", false), ("millstream.js", false),
    ("/a b", false), ("/a?b", false), ("/ä", false),
  ])
  func aPathIsAsInARequest(_ text: String, isOne: Bool) {
    #expect(BrowserScript.isPath(text) == isOne)
  }
}
