import Millstream

/// Whether the tables are there that `--presence` and `--statistics` write to.
struct PresenceChecks {
  let report: DoctorReport
  let session: CommandDatabase
  let options: PresenceOptions
  let grants: Grants

  private static let members = ["SELECT", "INSERT", "UPDATE", "DELETE"]

  /// `pgmq`, `native`: whether the store is there and to be served.
  func run(pgmq: Bool, native: Bool) {
    if !options.patterns.isEmpty {
      if pgmq { checkPGMQMembers(isNeeded: !native) }
      if native { checkNativeMembers() }
    }
    if options.statistics && pgmq { checkStatistics() }
  }

  private func checkPGMQMembers(isNeeded: Bool) {
    let table = "pgbus_presence_members"
    check("presence pgmq", table, PresenceChecks.members) { text in
      let remedy = "run the migration of pgbus that makes it, as the application's owner"
      isNeeded ? report.fail(text, remedy) : report.warn(text, remedy)
    } further: { () throws(DatabaseError) in
      // What a row is found by has to be the index that keeps it single.
      let isUnique = try session.value(
        """
        SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = '\(table)'::regclass
            AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 2
            AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
                = ARRAY['member_id', 'stream_name'])
        """)
      if isUnique == "t" { return true }
      report.fail(
        "presence pgmq: \(table) has no unique index on (stream_name, member_id)",
        "run pgbus's migrations")
      return false
    }
  }

  private func checkNativeMembers() {
    check("presence native", "millstream.presence_members", PresenceChecks.members) { text in
      report.fail(text, "run 'millstream install'")
    } further: {
      true
    }
  }

  private func checkStatistics() {
    check("statistics", "pgbus_stream_stats", ["INSERT"]) { text in
      report.fail(text, "run the migration of pgbus that makes it, or leave out --statistics")
    } further: {
      true
    }
  }

  /// `missing` says that the table is not there; `further`: whether it is as it should be.
  private func check(
    _ name: String, _ table: String, _ privileges: [String], missing: (String) -> Void,
    further: () throws(DatabaseError) -> Bool
  ) {
    report.check(name) { () throws(DatabaseError) in
      guard try session.value("SELECT to_regclass('\(table)') IS NOT NULL") == "t" else {
        return missing("\(name): there is no table \(table)")
      }
      let lacking =
        try session.query(
          """
          SELECT string_agg(p, ', ') FROM unnest($1::text[]) AS p
           WHERE NOT has_table_privilege('\(table)', p)
          """, ["{\(privileges.joined(separator: ","))}"]
        ).first?.first ?? nil
      if let lacking {
        return report.fail(
          "\(name): this role lacks \(lacking) on \(table)",
          grants.remedy(["\(lacking) ON \(table)"]))
      }
      guard try checkSequence(name, table), try further() else { return }
      report.ok("\(name): the table is there, and this role may write to it")
    }
  }

  /// A number that is given by a sequence, as Rails' ids are, needs a right of its own.
  private func checkSequence(_ name: String, _ table: String) throws(DatabaseError) -> Bool {
    let sequence = try session.value(
      """
      SELECT s FROM pg_attribute a, pg_get_serial_sequence('\(table)', a.attname) AS s
       WHERE a.attrelid = '\(table)'::regclass AND a.attnum > 0 AND NOT a.attisdropped
         AND a.attidentity = '' AND s IS NOT NULL AND NOT has_sequence_privilege(s, 'USAGE') LIMIT 1
      """)
    guard let sequence else { return true }
    report.fail(
      "\(name): this role may not use the sequence \(sequence)",
      grants.remedy(["USAGE ON SEQUENCE \(sequence)"]))
    return false
  }
}
