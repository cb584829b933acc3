/// What the command line asks for.
struct Options {
  enum Readiness: String, CaseIterable {
    /// `event: pgbus:connected` has come.
    case connected
    /// The head of a response of status 200 has come: for servers that have no such event.
    case head
  }

  enum ClockName: String, CaseIterable { case realtime, monotonic }

  var url = ""
  var pathsFile: String?
  var connections = 1_000
  var streams = 1
  var since: Int64?
  var cursorInHeader = false
  var httpVersion = "1.1"
  var readiness = Readiness.connected
  var messages: Int?
  var durationSeconds: Double?
  var holds = false
  var timeoutSeconds = 600.0
  var inFlight = 256
  var connectsPerSecond = 0
  var sources = 4
  var wantsArrival = true
  var clock = ClockName.realtime
  var expectsConsecutive = false
  var announcesRounds = false
  var json = false

  static let help = """
    usage: millstream-load --url http://HOST:PORT/PATH [options]

    Opens many SSE connections, checks what comes and measures when it comes.

    where
      --url URL              HOST is a numeric IPv4 address; a %d in PATH is replaced by 0..K-1
      --streams K            how many streams a %d in PATH stands for (1)
      --paths FILE           one path a line, instead of the one in --url
      --connections N        (1000)
      --since N              cursor, as ?since=N; the first id then has to be N+1
      --last-event-id N      cursor, as a header
      --http 1.0|1.1         (1.1); 1.0 keeps other servers from sending chunks
      --sources S            loopback addresses 127.0.0.1 … to connect from in turn (4); 0: no bind
      --in-flight N          connections at most that are not subscribed yet (256)
      --rate N               connects a second at most; 0: no bound (0)
      --ready connected|head what makes a connection subscribed (connected)
    until when (one or more; the first that is true ends it)
      --messages M           every connection has had M
      --duration S           S seconds after all were subscribed
      --hold                 SIGTERM or SIGINT comes (also ends the others)
      --timeout S            in any case (600)
    what to check and say
      --expect-consecutive   ids go up by one; a hole makes the exit status 1
      --no-arrival           do not ask the kernel when bytes arrived
      --clock realtime|monotonic  clock of 't=NANOSECONDS' in payloads (realtime)
      --announce-rounds      a line on stderr when all connections have their n-th message
      --json                 report as JSON

    Exit status: 0 all well; 1 disorder, a disconnect, a refusal or a time-out; 64 bad flags.
    """

  init(_ arguments: [String]) throws(LoadError) {
    var rest = arguments[...]
    while let flag = rest.popFirst() {
      if try setSwitch(flag) { continue }
      guard let value = rest.popFirst() else { throw .usage("\(flag) needs a value") }
      if try setWhere(flag, value) { continue }
      if try setWhen(flag, value) { continue }
      throw .usage("there is no flag \(flag)")
    }
    try validate()
  }

  private func validate() throws(LoadError) {
    if url.isEmpty { throw .usage("--url is missing") }
    if messages == nil && durationSeconds == nil && !holds {
      throw .usage("--messages, --duration or --hold has to say when to end")
    }
  }

  private mutating func setSwitch(_ flag: String) throws(LoadError) -> Bool {
    switch flag {
    case "--hold": holds = true
    case "--expect-consecutive": expectsConsecutive = true
    case "--no-arrival": wantsArrival = false
    case "--announce-rounds": announcesRounds = true
    case "--json": json = true
    default: return false
    }
    return true
  }

  private mutating func setWhere(_ flag: String, _ value: String) throws(LoadError) -> Bool {
    switch flag {
    case "--url": url = value
    case "--paths": pathsFile = value
    case "--connections": connections = try Options.number(flag, value, 1...1_000_000)
    case "--streams": streams = try Options.number(flag, value, 1...1_000_000)
    case "--since": since = Int64(try Options.number(flag, value, 0...Int.max))
    case "--last-event-id":
      since = Int64(try Options.number(flag, value, 0...Int.max))
      cursorInHeader = true
    case "--http": httpVersion = try Options.choice(flag, value, among: ["1.0", "1.1"])
    case "--sources": sources = try Options.number(flag, value, 0...250)
    default: return false
    }
    return true
  }

  private mutating func setWhen(_ flag: String, _ value: String) throws(LoadError) -> Bool {
    switch flag {
    case "--in-flight": inFlight = try Options.number(flag, value, 1...1_000_000)
    case "--rate": connectsPerSecond = try Options.number(flag, value, 0...1_000_000)
    case "--ready": readiness = try Options.choice(flag, value)
    case "--messages": messages = try Options.number(flag, value, 1...Int(UInt32.max))
    case "--duration": durationSeconds = try Options.seconds(flag, value)
    case "--timeout": timeoutSeconds = try Options.seconds(flag, value)
    case "--clock": clock = try Options.choice(flag, value)
    default: return false
    }
    return true
  }

  private static func number(
    _ flag: String, _ value: String, _ range: ClosedRange<Int>
  ) throws(LoadError) -> Int {
    guard let number = Int(value), range.contains(number) else {
      throw .usage("\(flag): '\(value)' is not a whole number from \(range.lowerBound) on")
    }
    return number
  }

  private static func seconds(_ flag: String, _ value: String) throws(LoadError) -> Double {
    guard let seconds = Double(value), seconds > 0, seconds < 1e6 else {
      throw .usage("\(flag): '\(value)' is not a time in seconds")
    }
    return seconds
  }

  private static func choice<Value>(_ flag: String, _ value: String) throws(LoadError) -> Value
  where Value: RawRepresentable<String>, Value: CaseIterable {
    _ = try choice(flag, value, among: Value.allCases.map(\.rawValue))
    guard let choice = Value(rawValue: value) else { throw .usage("\(flag): '\(value)'") }
    return choice
  }

  private static func choice(
    _ flag: String, _ value: String, among choices: [String]
  ) throws(LoadError) -> String {
    guard choices.contains(value) else {
      throw .usage("\(flag): '\(value)' is none of \(choices.joined(separator: ", "))")
    }
    return value
  }
}
