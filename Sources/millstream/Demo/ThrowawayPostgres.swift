import Glibc

/// A Postgres for one run of the demo: its own directory, socket and port, gone at the end.
///
/// It takes connections on 127.0.0.1 from a role that owns one database and nothing else; its
/// superuser comes in through the socket alone, which is in a directory that nobody else may enter.
/// Without this, every user of the machine could run programs through it.
final class ThrowawayPostgres {
  private let programs: PostgresPrograms
  private let directory: String
  private let caretaker: Caretaker
  private let port: UInt16
  private var server: ChildProcess?

  private static let startLimitMs = 60_000
  private static let stopLimitMs = 10_000
  private static let pauseMs = 20

  /// For speed, as nothing here outlives the run. Few sessions need few resources.
  private static let settings = [
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=30",
    "shared_buffers=32MB", "log_min_messages=warning", "listen_addresses=127.0.0.1",
  ]

  /// Makes the directory; nothing runs yet but the caretaker.
  init() throws {
    programs = try PostgresPrograms()
    port = try ThrowawayPostgres.freePort()
    directory = try ThrowawayPostgres.makeDirectory(for: programs.user)
    do {
      caretaker = try Caretaker(directory: directory)
    } catch {
      rmdir(directory)
      throw error
    }
  }

  /// How to connect to its database.
  var database: String {
    "host=127.0.0.1 port=\(port) dbname=demo user=millstream password=millstream"
  }

  /// Returns when there is a database to work in.
  /// - Throws: `HeldSignals.Interruption`, or `OperatingFailure` with what the programs said.
  func start() throws {
    try initialize()
    server = try run(
      [programs.postgres, "-D", data, "-p", "\(port)", "-k", directory]
        + ThrowawayPostgres.settings.flatMap { ["-c", $0] }, deathSignal: "INT")
    let session = try superuserSession()
    try session.run("CREATE ROLE millstream LOGIN PASSWORD 'millstream'")
    try session.run("CREATE DATABASE demo OWNER millstream")
  }

  /// Stops it if it runs, and removes its directory.
  func stop() {
    if let server {
      server.send(SIGINT)
      var leftMs = ThrowawayPostgres.stopLimitMs
      while server.exitStatus == nil && leftMs > 0 {
        Pause.wait(ms: Int64(ThrowawayPostgres.pauseMs))
        leftMs -= ThrowawayPostgres.pauseMs
      }
      // Its sessions are in groups of their own, and end when they miss it.
      server.killGroup()
    }
    caretaker.finish()
  }

  // MARK: Starting

  private var data: String { directory + "/data" }
  private var log: String { directory + "/log" }

  private func initialize() throws {
    let initdb = try run(
      [
        programs.initdb, "--pgdata", data, "--username", "postgres", "--encoding", "UTF8",
        "--no-locale", "--auth-local", "trust", "--auth-host", "scram-sha-256", "--no-sync",
      ], deathSignal: "KILL")
    do {
      while initdb.exitStatus == nil { try HeldSignals.pause(ms: ThrowawayPostgres.pauseMs) }
    } catch {
      initdb.killGroup()
      throw error
    }
    guard initdb.exitStatus == 0 else { throw failure("initdb failed") }
  }

  private func run(_ program: [String], deathSignal: String) throws -> ChildProcess {
    try ChildProcess(
      programs.command(program, deathSignal: deathSignal), directory: directory, log: log)
  }

  private func superuserSession() throws -> CommandDatabase {
    let socket = "host='\(ThrowawayPostgres.escaped(directory))' port=\(port)"
    var leftMs = ThrowawayPostgres.startLimitMs
    while leftMs > 0 {
      if let session = try? CommandDatabase("\(socket) dbname=postgres user=postgres") {
        return session
      }
      guard server?.exitStatus == nil else { throw failure("Postgres has ended") }
      try HeldSignals.pause(ms: ThrowawayPostgres.pauseMs)
      leftMs -= ThrowawayPostgres.pauseMs
    }
    throw failure("Postgres takes no connection")
  }

  /// As libpq wants the value of a setting within quotes.
  private static func escaped(_ value: String) -> String {
    String(value.flatMap { $0 == "'" || $0 == "\\" ? ["\\", $0] : [$0] })
  }

  /// With what the programs said last, before it is removed.
  private func failure(_ what: String) -> OperatingFailure {
    guard let file = fopen(log, "r") else { return OperatingFailure(what) }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 64 * 1024)
    let count = fread(&bytes, 1, bytes.count, file)
    let lines = String(decoding: bytes[..<count], as: UTF8.self).split(whereSeparator: \.isNewline)
    return OperatingFailure("\(what): \(lines.suffix(5).joined(separator: "; "))")
  }

  // MARK: Its place

  private static func makeDirectory(
    for user: (name: String, uid: uid_t, gid: gid_t)?
  ) throws -> String {
    // A relative path would be another one for the caretaker.
    let given = getenv("TMPDIR").map { String(cString: $0) } ?? ""
    let parent = given.hasPrefix("/") ? given : "/tmp"
    let template = strdup("\(parent)/millstream-demo-XXXXXX")!
    defer { free(template) }
    guard let made = mkdtemp(template) else {
      throw OperatingFailure(
        "cannot make a directory in \(parent): \(String(cString: strerror(errno)))")
    }
    if let user { chown(made, user.uid, user.gid) }
    return String(cString: made)
  }

  /// A port that nobody listens on now; until Postgres does, somebody else may, and then it ends
  /// and says so.
  private static func freePort() throws -> UInt16 {
    let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(probe) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(probe, $0, length) == 0 && getsockname(probe, $0, &length) == 0
      }
    }
    guard isBound else { throw OperatingFailure("there is no free port on 127.0.0.1") }
    return UInt16(bigEndian: address.sin_port)
  }
}
