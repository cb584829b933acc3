import Millstream

/// Whether what the application wants closed (`millstream.close`) reaches a server with this role.
struct ControlChecks {
  let report: DoctorReport
  let reads: CommandDatabase
  let grants: Grants

  func run() {
    report.check("closing") { () throws(DatabaseError) in
      guard let mayRead = try reads.query(ControlSchema.lookSQL).first?.first else {
        return try sayAbsent()
      }
      if mayRead == "t" {
        report.ok("closing: what the application closes with millstream.close() is heard")
      } else {
        report.warn(
          "closing: this role may not read millstream.controls, so millstream.close() does nothing",
          grants.remedy(try lacking()))
      }
    }
  }

  private func lacking() throws(DatabaseError) -> [String] {
    let mayUse = try reads.value("SELECT has_schema_privilege('millstream', 'USAGE')") == "t"
    return (mayUse ? [] : ["USAGE ON SCHEMA millstream"]) + ["SELECT ON millstream.controls"]
  }

  /// Who has queues alone need not have it; an old schema should be a new one.
  private func sayAbsent() throws(DatabaseError) {
    let text = "closing: there is no millstream.close() in this database"
    if try NativeVersion.installed(in: reads) == nil {
      report.ok(text + ": 'millstream install' makes it")
    } else {
      report.warn(text + ", for its schema is an old one", "run 'millstream install'")
    }
  }
}
