import Millstream

/// Whether Millstream's own schema is there, usable by this role, and alive.
struct NativeChecks {
  let report: DoctorReport
  let reads: CommandDatabase
  /// Nil: there is no use in listening.
  let listens: CommandDatabase?
  let timeoutMs: Int64
  let grants: Grants

  /// Whether the schema is there; if not, the caller says so.
  func run() -> Bool {
    var isThere = true
    report.check("store native") { () throws(DatabaseError) in
      isThere = try reads.value("SELECT to_regnamespace('millstream') IS NOT NULL") == "t"
      guard isThere, try checkPrivileges() else { return }
      guard let version = try NativeVersion.installed(in: reads) else {
        isThere = false
        return
      }
      guard checkVersion(version), try mayPublish(), let listens else { return }
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

  /// Whether the role may do what every server does.
  private func checkPrivileges() throws(DatabaseError) -> Bool {
    let lacking = try reads.query(NativeChecks.lackingSQL).compactMap { $0[0] }
    if lacking.isEmpty { return true }
    report.fail(
      "store native: this role may not read, or not call millstream.maintain",
      grants.remedy(lacking))
    return false
  }

  /// What is not granted, a row for each; what is not there is none of it. By their numbers, as without
  /// USAGE on the schema nothing in it has a name.
  private static let lackingSQL = """
    WITH space AS (SELECT oid FROM pg_namespace WHERE nspname = 'millstream')
    SELECT 'USAGE ON SCHEMA millstream' FROM space WHERE NOT has_schema_privilege(oid, 'USAGE')
    UNION ALL
    SELECT 'SELECT ON ' || string_agg('millstream.' || relname, ', ' ORDER BY relname)
      FROM pg_class c, space
     WHERE relnamespace = space.oid AND relname IN ('streams', 'messages', 'schema_version')
       AND NOT has_table_privilege(c.oid, 'SELECT')
    HAVING count(*) > 0
    UNION ALL
    SELECT DISTINCT 'EXECUTE ON FUNCTION millstream.maintain' FROM pg_proc p, space
     WHERE pronamespace = space.oid AND proname = 'maintain'
       AND NOT has_function_privilege(p.oid, 'EXECUTE')
    """

  /// A role that only serves need not.
  private func mayPublish() throws(DatabaseError) -> Bool {
    let mayPublish =
      try reads.value(
        """
        SELECT bool_and(has_function_privilege(oid, 'EXECUTE')) FROM pg_proc
         WHERE pronamespace = 'millstream'::regnamespace AND proname IN ('publish', 'publish_ephemeral')
        """) == "t"
    report.ok(
      mayPublish
        ? "store native: this role may read and publish"
        : "store native: this role may read, and not publish, which is right if it only serves")
    return mayPublish
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
