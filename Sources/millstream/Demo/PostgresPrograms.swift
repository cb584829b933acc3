import Glibc

/// Where the programs of a Postgres server are, and how they have to be run.
struct PostgresPrograms {
  let initdb: String
  let postgres: String
  /// Who runs them; nil: whoever runs this program. Postgres refuses to run as root.
  let user: (name: String, uid: uid_t, gid: gid_t)?

  /// - Throws: `OperatingFailure` that says what to install.
  init() throws {
    guard let directory = PostgresPrograms.directory() else {
      throw OperatingFailure(
        "no Postgres server is installed here: apt install postgresql, or give --database")
    }
    (initdb, postgres) = (directory + "/initdb", directory + "/postgres")
    user = getuid() == 0 ? try PostgresPrograms.unprivileged() : nil
  }

  /// The arguments for `program` as that user. `setpriv` has the kernel send `deathSignal` when this
  /// program dies, in whatever way.
  func command(_ program: [String], deathSignal: String) -> [String] {
    var command = ["setpriv", "--pdeathsig", deathSignal]
    if let user {
      command += ["--reuid", user.name, "--regid", "\(user.gid)", "--init-groups"]
    }
    return command + program
  }

  /// Of the PATH; else the newest of those that Debian keeps out of it.
  private static func directory() -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    return (path.split(separator: ":").map(String.init) + packaged()).first { directory in
      ["initdb", "postgres"].allSatisfy { access("\(directory)/\($0)", X_OK) == 0 }
    }
  }

  private static func packaged() -> [String] {
    let root = "/usr/lib/postgresql"
    guard let handle = opendir(root) else { return [] }
    defer { closedir(handle) }
    var versions: [Int] = []
    while let entry = readdir(handle) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let version = Int(name) { versions.append(version) }
    }
    return versions.sorted(by: >).map { "\(root)/\($0)/bin" }
  }

  private static func unprivileged() throws -> (name: String, uid: uid_t, gid: gid_t) {
    guard let entry = getpwnam("postgres") else {
      throw OperatingFailure("Postgres does not run as root, and there is no user 'postgres'")
    }
    return ("postgres", entry.pointee.pw_uid, entry.pointee.pw_gid)
  }
}
