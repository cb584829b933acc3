import Millstream

/// Whether Millstream's own schema is there, usable by this role, and alive.
struct NativeChecks {
  let report: DoctorReport
  let reads: CommandDatabase
  /// Nil: there is no use in listening.
  let listens: CommandDatabase?
  let timeoutMs: Int64

  private static let readGrants = """
    its owner has to run GRANT USAGE ON SCHEMA millstream, GRANT SELECT ON millstream.streams, \
    millstream.messages, millstream.controls, millstream.schema_version and GRANT EXECUTE ON \
    FUNCTION millstream.maintain, millstream.publish, millstream.publish_ephemeral, all TO this role
    """

  /// Whether the schema is there; if not, the caller says so.
  func run() -> Bool {
    var isThere = true
    report.check("store native", grants: NativeChecks.readGrants) { () throws(DatabaseError) in
      guard let version = try NativeVersion.installed(in: reads) else {
        isThere = false
        return
      }
      guard checkVersion(version), try checkPrivileges(), let listens else { return }
      try checkRoundTrip(listens)
    }
    return isThere
  }

  private func checkVersion(_ version: Int) -> Bool {
    let known = NativeSchema.version
    if version == known {
      report.ok("store native: the schema has version \(version)")
    } else if version < known {
      report.fail(
        "store native: the schema has version \(version), and this millstream needs \(known)",
        "run 'millstream install'")
    } else {
      report.fail(
        "store native: the schema has version \(version), and this millstream knows \(known)",
        "use a newer millstream")
    }
    return version == known
  }

  /// Whether the role may do what a server does; a role that only serves need not publish.
  private func checkPrivileges() throws(DatabaseError) -> Bool {
    let rows = try reads.query(
      """
      SELECT has_table_privilege('millstream.streams', 'SELECT')
             AND has_table_privilege('millstream.messages', 'SELECT')
             AND (SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_proc
                   WHERE pronamespace = 'millstream'::regnamespace AND proname = 'maintain'),
             (SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_proc
               WHERE pronamespace = 'millstream'::regnamespace
                 AND proname IN ('publish', 'publish_ephemeral'))
      """)
    guard rows.first?[0] == "t" else {
      report.fail(
        "store native: this role may not read, or not call millstream.maintain",
        NativeChecks.readGrants)
      return false
    }
    guard rows.first?[1] == "t" else {
      report.warn(
        "store native: this role may not publish, which is right if it only serves; no round trip",
        NativeChecks.readGrants)
      return false
    }
    report.ok("store native: this role may read and publish")
    return true
  }

  /// Publishes something that is stored nowhere, on a stream that nobody reads.
  private func checkRoundTrip(_ listens: CommandDatabase) throws(DatabaseError) {
    let stream = "millstream-doctor:" + RandomName.make()
    try listens.run("LISTEN millstream")
    try reads.query("SELECT millstream.publish_ephemeral($1::text, 'doctor')", [stream])
    // Others publish meanwhile: all of it comes on the one channel.
    let heard = try listens.notification(withinMs: timeoutMs) { $0.payload.contains(stream) }
    try listens.run("UNLISTEN millstream")
    if heard == nil {
      report.fail(
        "store native: what was published did not come back within \(timeoutMs) ms",
        "look for other LISTEN sessions that hang, and at the load of the server")
    } else {
      report.ok("store native: what was published came back")
    }
  }
}
