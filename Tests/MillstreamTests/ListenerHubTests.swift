import Glibc
import Logging
import Synchronization
import Testing

@testable import Millstream

/// A hub and the listeners of two other loops, on real loops that the test turns one after the other.
@Suite struct ListenerHubTests {
  @Test func loopsShareTheListenOfAChannel() throws {
    let bench = try HubBench()
    bench.session.connect()
    for source in bench.sources { source.add("a") }
    bench.settle()
    #expect(bench.session.sent == ["LISTEN \"a\""])
    #expect(bench.sources.allSatisfy { $0.isListening(to: ["a"]) })
    bench.session.sent = []
    bench.hub.remove("a")
    bench.remotes[0].remove("a")
    bench.settle()
    #expect(bench.session.sent.isEmpty)
    #expect(!bench.remotes[0].isListening(to: ["a"]))
    bench.remotes[1].remove("a")
    bench.settle()
    #expect(bench.session.sent == ["UNLISTEN \"a\""])
  }

  @Test func twoStreamsOfALoopAreOneWish() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.remotes[0].add("a")
    bench.settle()
    bench.remotes[0].remove("a")
    bench.settle()
    #expect(bench.remotes[0].isListening(to: ["a"]))
    bench.remotes[0].remove("a")
    bench.settle()
    #expect(bench.session.sent == ["LISTEN \"a\"", "UNLISTEN \"a\""])
  }

  @Test func listeningIsToldWhenTheListenCountsAndBeforeWhatFollowsIt() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.settle()
    bench.remotes[0].add("a")
    bench.turn()
    bench.turn()
    #expect(bench.session.unanswered == 2)
    #expect(!bench.remotes[0].isListening(to: ["a"]))
    bench.session.answer()
    bench.session.notify("a", "1")
    bench.settle()
    #expect(bench.heard[1] == ["listening a", "a: 1"])
    #expect(bench.heard[2].isEmpty)
  }

  @Test func channelThatAnotherLoopHasIsHeardAtOnce() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.hub.add("a")
    bench.settle()
    bench.session.notify("a", "too early")
    bench.remotes[0].add("a")
    bench.turn()
    bench.turn()
    bench.session.notify("a", "1")
    bench.settle()
    #expect(bench.session.sent == ["LISTEN \"a\""])
    #expect(bench.heard[1] == ["listening a", "a: 1"])
  }

  @Test func loopHearsWhatItAskedForInOrder() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.hub.add("a")
    bench.remotes[0].add("b")
    bench.remotes[1].add("a")
    bench.settle()
    bench.forget()
    for number in 1...3 {
      bench.session.notify("a", "\(number)")
      bench.session.notify("b", "\(number)")
    }
    bench.session.notify("a", "")
    bench.settle()
    #expect(bench.heard[1] == ["b: 1", "b: 2", "b: 3"])
    #expect(bench.heard[2] == ["a: 1", "a: 2", "a: 3", "a: "])
  }

  @Test func nativeNotificationGoesToLoopsThatMayHaveTheStream() throws {
    let bench = try HubBench()
    bench.session.connect()
    for source in bench.sources { source.add("millstream") }
    bench.settle()
    bench.forget()
    let note = #"{"d":{"s":"b"},"s":"\u0061"}"#
    bench.session.notify("millstream", note)
    bench.settle()
    #expect(bench.heard == [["millstream: \(note)"], [], []])
    bench.remotes[0].addNativeStream(Array("a".utf8))
    bench.remotes[1].addNativeStream(Array("b".utf8))
    bench.session.notify("millstream", note)
    bench.session.notify("millstream", "nonsense")
    bench.settle()
    #expect(bench.heard[1...] == [["millstream: \(note)"], []])
    bench.remotes[0].removeNativeStream(Array("a".utf8))
    bench.session.notify("millstream", note)
    bench.settle()
    #expect(bench.heard[1].count == 1)
  }

  @Test func markIsThereWhileAnyStreamOfItIs() {
    let marks = StreamMarks()
    let names = (0..<3_000).map { Array("stream \($0)".utf8) }
    let places = names.map { StreamMarks.Mark($0) }
    for name in names { marks.add(name) }
    #expect(places.allSatisfy { marks.mayHold($0) })
    // With so many, some have a place in common.
    for name in names[1_000...] { marks.remove(name) }
    #expect(places[..<1_000].allSatisfy { marks.mayHold($0) })
    #expect(places[1_000...].filter { marks.mayHold($0) }.count < 100)
    for name in names[..<1_000] { marks.remove(name) }
    #expect(!places.contains { marks.mayHold($0) })
  }

  @Test func sessionThatIsLostIsLostForAll() throws {
    let bench = try HubBench()
    bench.remotes[0].add("a")
    #expect(bench.remotes.allSatisfy { $0.isExpected })
    bench.session.connect()
    bench.settle()
    bench.forget()
    bench.session.notify("a", "1")
    bench.session.breakOff()
    bench.settle()
    #expect(bench.heard == [["a: 1", "lost"], ["a: 1", "lost"], ["lost"]])
    #expect(bench.sources.allSatisfy { !$0.isExpected })
    #expect(!bench.remotes[0].isListening(to: ["a"]))
    bench.forget()
    bench.session.connect()
    bench.session.answer()
    bench.session.notify("a", "2")
    bench.settle()
    #expect(bench.heard == [["listening a", "a: 2"], ["listening a", "a: 2"], []])
    #expect(bench.sources.allSatisfy { $0.isExpected })
  }

  @Test func channelThatIsAskedForAgainCountsFromTheLaterListenOn() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.settle()
    bench.remotes[0].add("a")
    bench.remotes[0].flush()
    bench.turnHub()
    bench.session.answer()
    bench.hub.flush()
    // `listening` is on its way to a loop that gives the channel back, and takes it again once the
    // server has been told.
    bench.remotes[0].remove("a")
    bench.remotes[0].flush()
    bench.turnHub()
    bench.remotes[0].add("a")
    bench.turn(remote: 0)
    #expect(!bench.remotes[0].isListening(to: ["a"]))
    #expect(bench.heard[1].isEmpty)
    bench.settle()
    #expect(bench.session.sent == ["LISTEN \"a\"", "UNLISTEN \"a\"", "LISTEN \"a\""])
    #expect(bench.heard[1] == ["listening a"])
  }

  @Test func whatIsAskedForAndGivenBackIsNothing() throws {
    let wishes = ChannelWishes()
    wishes.add("a", ticket: 1)
    wishes.remove("a")
    #expect(wishes.take().isEmpty)
    wishes.add("a", ticket: 2)
    #expect(wishes.take()["a"]?.ticket == 2)
    wishes.remove("a")
    wishes.add("a", ticket: 3)
    wishes.remove("a")
    let changes = wishes.take()
    #expect(changes.count == 1 && changes["a"].map { $0.ticket == nil } == true)
    wishes.add("a", ticket: 4)
    wishes.remove("a")
    #expect(wishes.take().isEmpty)
  }

  // MARK: A loop that does not come by

  @Test func whatWaitsForALoopIsBoundedAndItIsTold() throws {
    let bench = try HubBench(limitBytes: 1_000)
    bench.session.connect()
    for remote in bench.remotes { remote.add("a") }
    bench.settle()
    bench.forget()
    for number in 1...25 {
      bench.session.notify("a", "\(number)")
      bench.turnHub()
      bench.turn(remote: 1)
    }
    bench.settle()
    // Of 66 and 67 bytes each, fifteen are kept; the next one empties the inbox.
    #expect(bench.heard[1].first == "dropped 16")
    #expect(
      Array(bench.heard[1].dropFirst()) == ["lost", "listening a"] + (17...25).map { "a: \($0)" })
    #expect(bench.heard[2] == (1...25).map { "a: \($0)" })
    #expect(bench.remotes[0].isExpected && bench.remotes[0].isListening(to: ["a"]))
  }

  @Test func oneThatIsDroppedTwiceCountsAll() throws {
    let bench = try HubBench(limitBytes: 1_000)
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.settle()
    bench.forget()
    for number in 1...100 {
      bench.session.notify("a", "\(number)")
      bench.turnHub()
    }
    bench.settle()
    let told = bench.heard[1].filter { $0.hasPrefix("dropped") }
    #expect(told.count == 1 && told.first == bench.heard[1].first)
    let dropped = Int(told.first?.split(separator: " ").last ?? "") ?? 0
    #expect(dropped > 80)
    #expect(bench.heard[1][3...] == (dropped + 1...100).map { "a: \($0)" }[...])
  }

  @Test func moreThanTheBoundAtOnceIsDropped() throws {
    let bench = try HubBench(limitBytes: 1_000)
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.settle()
    bench.forget()
    for number in 1...25 { bench.session.notify("a", "\(number)") }
    bench.settle()
    #expect(bench.heard[1] == ["dropped 25", "lost", "listening a"])
  }

  @Test func dropWhileTheSessionIsAwaySaysSo() throws {
    let bench = try HubBench(limitBytes: 1_000)
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.settle()
    bench.forget()
    for number in 1...25 { bench.session.notify("a", "\(number)") }
    bench.session.breakOff()
    bench.settle()
    #expect(bench.heard[1] == ["dropped 25", "lost"])
    #expect(!bench.remotes[0].isExpected)
    bench.session.connect()
    bench.settle()
    #expect(bench.heard[1].last == "listening a" && bench.remotes[0].isExpected)
  }

  @Test func muchIsWorkedOffInSlices() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.settle()
    bench.forget()
    for number in 1...1_000 { bench.session.notify("a", "\(number)") }
    bench.turnHub()
    bench.remoteLoops[0].runOnce()
    #expect((1..<1_000).contains(bench.heard[1].count))
    bench.session.notify("a", "1001")
    bench.settle()
    #expect(bench.heard[1] == (1...1_001).map { "a: \($0)" })
  }

  // MARK: Ends

  @Test func hubMayEndFirst() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.settle()
    bench.forget()
    bench.hub.stop()
    weak let hub = bench.hub
    bench.hub = nil
    #expect(hub == nil)
    bench.turn(remote: 0)
    #expect(bench.heard[1] == ["lost"])
    #expect(!bench.remotes[0].isExpected && !bench.remotes[0].isListening(to: ["a"]))
    bench.remotes[0].add("b")
    bench.remotes[0].remove("a")
    bench.turn(remote: 0)
    bench.remotes[0].stop()
    #expect(bench.heard[1] == ["lost", "lost"])
  }

  @Test func hubThatWasNeverStoppedLeavesNothingDangling() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.hub = nil
    bench.remotes[0].add("b")
    bench.turn(remote: 0)
    #expect(!bench.remotes[0].isListening(to: ["b"]))
  }

  @Test func otherLoopMayEndFirst() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.remotes[1].add("b")
    bench.settle()
    bench.session.sent = []
    bench.session.notify("a", "1")
    bench.remotes[0].stop()
    bench.turn(remote: 0)
    #expect(bench.heard[1] == ["listening a", "lost"])
    // The second is dropped without a word, with its loop.
    bench.remotes = []
    bench.remoteLoops = []
    bench.session.notify("b", "1")
    bench.settle()
    #expect(bench.session.sent.sorted() == ["UNLISTEN \"a\"", "UNLISTEN \"b\""])
    bench.session.notify("b", "2")
    bench.settle()
  }

  @Test func loopThatIsStoppedInTheMiddleHearsNoMore() throws {
    let bench = try HubBench()
    bench.session.connect()
    bench.remotes[0].add("a")
    bench.settle()
    bench.forget()
    let remote = bench.remotes[0]
    remote.notified = { [unowned bench, unowned remote] _, _ in
      bench.heard[1].append("one")
      remote.stop()
    }
    for _ in 1...3 { bench.session.notify("a", "") }
    bench.settle()
    #expect(bench.heard[1] == ["one", "lost"])
  }

  // MARK: Threads

  /// What a loop on a thread of its own hears is in order, and what is missing is what it is told of.
  @Test func threadMissesOnlyWhatItIsToldOf() throws {
    let bench = try HubBench(limitBytes: 20_000)
    let count = 100_000
    let other = OtherLoop(bench.remotes[0], bench.remoteLoops[0], last: count)
    bench.remotes[0].add("a")
    bench.session.connect()
    bench.settle()
    bench.forget()
    #expect(other.start())
    for number in 1...count {
      bench.session.notify("a", "\(number)")
      if number % 50 == 0 { bench.turnHub() }
    }
    let deadline = Clock.system.monotonicMs + 20_000
    while !other.isOver.load(ordering: .acquiring) && Clock.system.monotonicMs < deadline {
      bench.turnHub()
    }
    other.join()
    #expect(other.faults == [])
    #expect(other.heard + other.dropped == count)
  }
}

/// A loop on a thread, and what is checked there.
private final class OtherLoop: @unchecked Sendable {
  let isOver = Atomic<Bool>(false)
  private(set) var faults: [String] = []
  private(set) var heard = 0
  private(set) var dropped = 0
  private let loop: EventLoop
  private let last: Int
  private var thread = pthread_t()
  private var guardTimer: TimerWatcher?

  init(_ source: NotificationSource, _ loop: EventLoop, last: Int) {
    self.loop = loop
    self.last = last
    source.notified = { [unowned self] _, payload in
      heard += 1
      advance(to: Int(String(decoding: payload, as: UTF8.self)) ?? 0)
    }
    source.dropped = { [unowned self] count in
      dropped += count
      endIfAll()
    }
    guardTimer = TimerWatcher(loop: loop) { loop.stop() }
    guardTimer?.fire(afterMs: 20_000)
  }

  /// All below are heard, or said to be missing.
  private func advance(to number: Int) {
    if heard + dropped != number { faults.append("\(number) after \(heard) and \(dropped)") }
    endIfAll()
  }

  private func endIfAll() {
    if heard + dropped == last || faults.count > 10 { loop.stop() }
  }

  func start() -> Bool {
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<OtherLoop>.fromOpaque(context!).takeUnretainedValue().run()
        return nil
      }, Unmanaged.passUnretained(self).toOpaque()) == 0
  }

  private func run() {
    loop.run()
    isOver.store(true, ordering: .releasing)
  }

  func join() {
    pthread_join(thread, nil)
  }
}

/// A hub with a scripted session, and two other loops. What each hears is noted, the hub's own loop first.
private final class HubBench {
  let session: ScriptedSession
  let hubLoop: EventLoop
  var hub: ListenerHub!
  var remoteLoops: [EventLoop]
  var remotes: [NotificationSource]
  var heard: [[String]] = [[], [], []]

  var sources: [NotificationSource] { [hub] + remotes }

  init(limitBytes: Int = 1 << 20) throws {
    hubLoop = try EventLoop()
    session = ScriptedSession(on: hubLoop)
    remoteLoops = [try EventLoop(), try EventLoop()]
    let hub = ListenerHub(Listener(session: session), loop: hubLoop, limitBytes: limitBytes)
    self.hub = hub
    remotes = remoteLoops.map { hub.source(for: $0) }
    #expect(hub.source(for: hubLoop) === hub)
    for (index, source) in sources.enumerated() { note(source, at: index) }
  }

  private func note(_ source: NotificationSource, at index: Int) {
    source.listening = { [unowned self] channels in
      if !channels.isEmpty {
        heard[index].append("listening \(channels.sorted().joined(separator: " "))")
      }
    }
    source.lost = { [unowned self] in heard[index].append("lost") }
    source.dropped = { [unowned self] in heard[index].append("dropped \($0)") }
    source.notified = { [unowned self] channel, payload in
      let text = [channel, payload].map { String(decoding: $0, as: UTF8.self) }
      heard[index].append(text.joined(separator: ": "))
    }
  }

  func forget() {
    heard = [[], [], []]
  }

  func turnHub() {
    hubLoop.runOnce()
    hub?.flush()
  }

  func turn(remote index: Int) {
    remoteLoops[index].runOnce()
    remotes[index].flush()
  }

  func turn() {
    for index in remotes.indices { turn(remote: index) }
    turnHub()
  }

  /// Turns all, and answers what is asked, until nothing moves.
  func settle() {
    for _ in 0..<20 {
      turn()
      session.answer()
    }
  }
}

/// A session that says what it was asked, and is answered by the test.
private final class ScriptedSession: PostgresSession {
  private enum State { case starting, ready, away, stopped }

  /// The LISTENs and UNLISTENs.
  var sent: [String] = []
  private var state = State.starting
  private var questions: [Query] = []

  init(on loop: EventLoop) {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    super.init(
      name: "listen", loop: loop, settings: ConnectionString.empty, limits: .init(), logger: logger)
  }

  /// How many questions are not answered yet.
  var unanswered: Int { questions.count }
  override var isReady: Bool { state == .ready }
  override var isExpected: Bool { state == .starting || state == .ready }

  override func start() {}

  override func stop() {
    breakOff()
    state = .stopped
  }

  override func submit(_ query: Query, moreFollow: Bool = false) {
    questions.append(query)
    if query.sql.contains("LISTEN") { sent.append(query.sql) }
  }

  override func flush() {}

  func connect() {
    state = .ready
    events.ready()
  }

  func breakOff() {
    state = .away
    let lost = questions
    questions = []
    for query in lost { query.failed(.sessionLost) }
    events.lost()
  }

  func answer() {
    let answered = questions
    questions = []
    for query in answered { query.finished() }
  }

  func notify(_ channel: String, _ payload: String) {
    Array(channel.utf8).withUnsafeBytes { channel in
      Array(payload.utf8).withUnsafeBytes { events.notified(channel, $0) }
    }
  }
}
