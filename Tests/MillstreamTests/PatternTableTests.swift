import Testing

@testable import Millstream

@Suite struct PatternTableTests {
  private let table = ConnectionTable()

  private func carrier(_ patterns: String...) -> Carrier {
    let opening = Carrier.Opening(head: [], retryMs: 0, entries: [])
    let carrier = Carrier(self.table.allocate(), opening)
    carrier.patterns = patterns.map { Carrier.Pattern(Array($0.utf8)) }
    return carrier
  }

  private func add(_ carrier: Carrier, to table: inout PatternTable) {
    for pattern in carrier.patterns {
      let follower = PatternTable.Follower(
        carrier, nil, entry: 0, begin: .none, cursor: nil, isResumed: false)
      table.add(follower, to: pattern.text)
    }
  }

  @Test func eachPatternIsThereOnce() {
    var table = PatternTable()
    let (first, second) = (carrier("a*", "b*"), carrier("a*"))
    add(first, to: &table)
    #expect(table.takeWanted(atMost: 9).count == 2 && !table.wantsLists)
    add(second, to: &table)
    #expect(table.groups.count == 2)
    let group = table.groups[Array("a*".utf8)]
    #expect(group?.followers.count == 2)
    let wanted = table.takeWanted(atMost: 9)
    #expect(wanted.count == 1 && wanted[0] === group, "whoever comes has to have the list, too")
  }

  @Test func listsThatAreAwaitedComeFirst() {
    var table = PatternTable()
    let old = (0..<20).map { carrier("old\($0)*") }
    for carrier in old { add(carrier, to: &table) }
    #expect(table.takeWanted(atMost: 16).count == 16)
    #expect(table.takeWanted(atMost: 16).count == 4)
    table.wantAllLists()
    let new = carrier("new*")
    add(new, to: &table)
    #expect(table.takeWanted(atMost: 1).map(\.text) == [Array("new*".utf8)])
    for carrier in old.dropLast() { table.remove(carrier) }
    #expect(table.takeWanted(atMost: 16).map(\.text) == [Array("old19*".utf8)])
    #expect(!table.wantsLists)
  }

  @Test func goesWithTheLastWhoFollows() {
    var table = PatternTable()
    let (first, second) = (carrier("a*", "b*"), carrier("a*"))
    add(first, to: &table)
    add(second, to: &table)
    table.remove(first)
    #expect(table.groups.keys.map { String(decoding: $0, as: UTF8.self) } == ["a*"])
    table.remove(first)
    table.remove(second, from: Array("b*".utf8))
    #expect(!table.isEmpty)
    table.remove(second, from: Array("a*".utf8))
    #expect(table.isEmpty)
  }

  /// Which pattern is listed first is chance, and does not decide.
  @Test(arguments: [["a*", "*1"], ["*1", "a*"]])
  func beginsAtTheEarliestOfWhatItsPatternsSay(patterns: [String]) {
    var table = PatternTable()
    let carrier = Carrier(
      self.table.allocate(), Carrier.Opening(head: [], retryMs: 0, entries: []))
    carrier.patterns = patterns.map { Carrier.Pattern(Array($0.utf8)) }
    for pattern in carrier.patterns {
      let begin: CursorRequest = pattern.text == Array("*1".utf8) ? .all : .none
      let follower = PatternTable.Follower(
        carrier, nil, entry: 0, begin: begin, cursor: nil, isResumed: false)
      table.add(follower, to: pattern.text)
    }
    func request(_ name: String) -> CursorRequest {
      table.request(for: Array(name.utf8), CursorVector.Key(name.utf8), of: carrier)
    }
    #expect(request("a1") == .all)
    #expect(request("a2") == .none)
    #expect(request("b1") == .all)
  }

  /// What is heard while the list is on its way is kept for those who wait for one, and no longer.
  @Test func keepsWhatWasHeardForThoseWithoutAList() {
    let group = PatternTable.Group(Array("a*".utf8))
    var table = PatternTable()
    let (first, second) = (carrier("a*"), carrier("a*"))
    add(first, to: &table)
    add(second, to: &table)
    group.followers = table.groups[Array("a*".utf8)]?.followers ?? [:]
    #expect(group.hold(Array("a1".utf8)))
    group.followers[first.connection.pointee.slot]?.isListed = true
    group.forgetHeard()
    #expect(group.heard == [Array("a1".utf8)])
    group.followers[second.connection.pointee.slot]?.isListed = true
    group.forgetHeard()
    #expect(group.heard.isEmpty)
  }

  @Test func whatIsHeardHasABound() {
    let group = PatternTable.Group(Array("*".utf8))
    for number in 0..<CursorVector.maximumStreams {
      #expect(group.hold(Array("s\(number)".utf8)))
    }
    #expect(group.hold(Array("s0".utf8)))
    #expect(!group.hold(Array("one more".utf8)), "what was not kept is in the next list")
    #expect(group.heard.count == CursorVector.maximumStreams)
  }

  @Test func aPatternHasAKeyOfItsOwn() {
    #expect(Carrier.Pattern(Array("a*".utf8)).key != CursorVector.Key("a*".utf8))
    #expect(Carrier.Pattern(Array("a*".utf8)).key == Carrier.Pattern(Array("a*".utf8)).key)
  }
}
