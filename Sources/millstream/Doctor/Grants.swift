import Millstream

/// What a role is to be given, as statements that can be copied into psql as they are.
struct Grants {
  /// Its name as SQL writes it.
  let role: String

  init(to role: String) { self.role = role }

  /// To the role that `session` is logged in as.
  init(to session: CommandDatabase) {
    let name = (try? session.value("SELECT quote_ident(current_user)")) ?? nil
    role = name ?? "the_server's_role"
  }

  /// `rights`: each as it stands between GRANT and TO.
  func remedy(_ rights: [String]) -> String {
    lines("its owner has to run", rights.map { "GRANT \($0) TO \(role);" })
  }

  /// For tables and sequences (`kinds`, in SQL's words) that are not there yet.
  func remedy(_ kinds: [String], madeBy maker: String, in schema: String) -> String {
    lines(
      "\(maker) or a superuser has to run",
      kinds.map {
        "ALTER DEFAULT PRIVILEGES FOR ROLE \(maker) IN SCHEMA \(schema) GRANT SELECT ON \($0) TO \(role);"
      })
  }

  private func lines(_ heading: String, _ statements: [String]) -> String {
    ([heading] + statements).joined(separator: "\n")
  }
}
