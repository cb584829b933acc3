import Testing

@testable import Millstream

/// Swift takes two strings that look the same for one, however they are written in Unicode. To Postgres and to
/// applications they are two, and one of them may be somebody else's.
@Suite struct SameLookTests {
  private static let one = "Jos\u{e9}"
  private static let other = "Jose\u{301}"

  @Test func labels() {
    #expect(Self.one == Self.other)
    let context = ConnectionContext(labels: [Self.one, "staff"])
    #expect(context.mayRead(Self.one) && context.mayRead("staff"))
    #expect(!context.mayRead(Self.other) && !context.mayRead("nobody"))
  }

  /// Frames of one chunk have their audience in common, where it is the same.
  @Test func audiences() throws {
    func audience(_ label: String) throws -> Audience {
      try Array(label.utf8).withUnsafeBytes { label in
        var message = Message(
          id: 1, data: UnsafeRawBufferPointer(start: nil, count: 0), event: nil, visibleTo: label,
          exclude: nil)
        message.isDropped = false
        return try #require(Audience(of: message))
      }
    }
    #expect(try audience(Self.one) == audience(Self.one))
    #expect(try audience(Self.one) != audience(Self.other))
  }

  @Test func streams() throws {
    let one = StreamIdentity(store: .native, name: Self.one)
    let other = StreamIdentity(store: .native, name: Self.other)
    #expect(one != other && Set([one, other, one]).count == 2)
    var set = SubscriptionSet(
      store: .native, head: [],
      cursor: try #require(SetCursor(lastEventID: nil, query: StreamSetQuery([]))))
    for name in [Self.one, Self.other] {
      set.add(
        Subscription(
          store: .native, name: name, storageName: Array(name.utf8), channels: [], cursor: .none,
          head: []))
    }
    set.refuse([1: 403])
    #expect(set.entries == [.stream(name: Self.one), .refused(status: 403)])
  }
}
