import Testing

@testable import Millstream

struct QueueNameTests {
  @Test(
    arguments: [
      ("pgbus", "chat", "pgbus_chat"), ("pgbus", "a:b", "pgbus_a_b"), ("pgbus", "a-b", "pgbus_a_b"),
      ("pgbus", "a_b", "pgbus_a_b"), ("pgbus", "a.b", "pgbus_a_b"),
      ("pgbus", "__a__", "pgbus___a__"),
      ("pgbus", ":_a::b_-", "pgbus_a_b"), ("pgbus", "a/b c", "pgbus_abc"),
      ("pgbus", "gid://app/Order/42:messages", "pgbus_gid_appOrder42_messages"),
      ("pgbus", "", "pgbus_"), ("pgbus", "日本", "pgbus"), ("pgbus", "a_日_b", "pgbus_a_b"),
      ("my-app", "chat", "my_app_chat"), ("", "a", "_a"), ("", "a!", "a"), ("", "-", nil),
      ("", "é", nil), ("pgbus", "'; drop table x", "pgbus_droptablex"),
      ("pgbus", String(repeating: "a", count: 41), "pgbus_" + String(repeating: "a", count: 41)),
      ("pgbus", String(repeating: "a", count: 42), nil),
      ("pgbus", String(repeating: ":", count: 90) + "a", "pgbus_a"),
    ] as [(String, String, String?)])
  func namesArePgbuss(prefix: String, stream: String, name: String?) {
    #expect(QueueName(stream: stream, prefix: prefix)?.name == name)
  }

  @Test func capitalsHaveTwoChannels() throws {
    let plain = try #require(QueueName(stream: "chat", prefix: "pgbus"))
    #expect(plain.tableSuffix == "pgbus_chat")
    #expect(plain.channel == "pgmq.q_pgbus_chat.INSERT")
    #expect(plain.channelAsGiven == nil)
    let capital = try #require(QueueName(stream: "Chat", prefix: "pgbus"))
    #expect(capital.name == "pgbus_Chat")
    #expect(capital.tableSuffix == "pgbus_chat")
    #expect(capital.channel == "pgmq.q_pgbus_chat.INSERT")
    #expect(capital.channelAsGiven == "pgmq.q_pgbus_Chat.INSERT")
  }
}

struct StreamPatternTests {
  @Test(arguments: [
    ("demo:*", "demo:", true), ("demo:*", "demo:a:b", true), ("demo:*", "demo", false),
    ("demo:*", "xdemo:", false), ("*", "", true), ("*", "x", true), ("", "", true),
    ("", "x", false), ("a", "a", true), ("a", "b", false), ("a", "aa", false), ("a?", "ab", false),
    ("a?", "a?", true), ("a.b", "axb", false), ("a*a", "a", false), ("a*a", "aa", true),
    ("*a*", "bab", true), ("*a*", "bbb", false), ("a*b*c", "abc", true), ("a*b*c", "axbybzc", true),
    ("a*b*c", "acb", false), ("**a**", "a", true), ("*aab*", "aaab", true),
    ("*abcabd*", "abcabcabd", true), ("*abab*ab", "ababab", true), ("*abab*abab", "ababab", false),
    ("[a-b]*", "a", false), ("é*", "éa", true), ("A*", "a", false),
  ])
  func patternsMatch(pattern: String, name: String, isMatch: Bool) {
    #expect(StreamPattern(pattern).matches(name.utf8) == isMatch)
  }

  /// A matcher that goes back would take some 10^11 steps for this.
  @Test func matchingIsLinear() {
    let run = String(repeating: "a", count: 200_000)
    let pattern = StreamPattern("*" + run + "b*" + run + "*c")
    #expect(!pattern.matches((run + run + run + "c").utf8))
  }
}
