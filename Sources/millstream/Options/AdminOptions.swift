import ArgumentParser
import Millstream

/// Where operators and their programs ask, and what they may do there.
struct AdminOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the status page, /metrics, /healthz and /readyz are; 'none': nowhere. (default: "
        + "\(AdminAddress.usual), unless that is taken)", valueName: "address"))
  var admin: String?

  @Option(
    help: ArgumentHelp(
      "Let who has the token in this file close connections and look into streams there.",
      valueName: "path"), completion: .file())
  var adminTokenFile: String?

  @Option(
    help: ArgumentHelp(
      "A name of the admin address in URLs, beside localhost and IP addresses; repeatable. The status "
        + "page is refused under any other.", valueName: "host"))
  var adminHost: [String] = []

  static let environmentOptions: [EnvironmentOption] = [
    .value("admin"), .value("admin-token-file"), .list("admin-host"),
  ]

  func validate() throws {
    _ = try address()
  }

  /// - Throws: `ValidationError` that says which option is not in order.
  func load() throws -> AdminSettings {
    AdminSettings(
      address: try address(), token: try adminTokenFile.map { path throws in try .load(path) },
      hosts: AdminHosts(adminHost))
  }

  private func address() throws -> AdminAddress {
    do {
      return try AdminAddress(admin)
    } catch {
      throw ValidationError("--admin: \(error)")
    }
  }
}

/// What is known of the admin address before it is there.
struct AdminSettings {
  var address = AdminAddress.none
  /// Nil: nobody may do anything.
  var token: AdminToken?
  var hosts = AdminHosts()
}
