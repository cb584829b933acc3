import Glibc
import Millstream

/// Whether the addresses can be had, and who reaches them.
struct AddressChecks {
  let report: DoctorReport
  let serve: Serve

  func run() {
    for text in serve.listen.isEmpty ? [Serve.usualAddress] : serve.listen {
      check(text, "listen", taken: "if that is not the server itself, give another --listen")
    }
    let asked = serve.adminOptions.admin
    let admin = asked ?? AdminAddress.usual
    guard admin != "none" else {
      report.warn(
        "admin address: none, so nobody sees how the server is",
        "give --admin, for /metrics, /readyz and the status page")
      return
    }
    check(
      admin, "admin address",
      taken: "if that is not the server itself, give another --admin: "
        + (asked == nil ? "it goes without one" : "it does not start"))
    checkReach(of: admin)
  }

  private func check(_ text: String, _ subject: String, taken: String) {
    guard let address = try? ListenAddress(text) else { return }
    if text.hasPrefix("unix:") { return checkFolder(of: String(text.dropFirst(5)), subject) }
    do {
      _ = try address.listen()
      report.ok("\(subject): \(text) can be had")
    } catch {
      report.warn("\(subject): \(error)", taken)
    }
  }

  /// Without making the socket, which might be there.
  private func checkFolder(of path: String, _ subject: String) {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    if access(folder, W_OK | X_OK) == 0 {
      report.ok("\(subject): unix:\(path) can be had")
    } else {
      report.fail(
        "\(subject): nothing can be made in \(folder): \(String(cString: strerror(errno)))",
        "make the folder, for instance with RuntimeDirectory= of the systemd unit")
    }
  }

  /// The page and the metrics have names of streams and addresses of clients.
  private func checkReach(of admin: String) {
    let local = ["127.", "localhost:", "[::1]:", "unix:"]
    guard !local.contains(where: { admin.hasPrefix($0) }) else { return }
    report.warn(
      "admin address: \(admin) is not the loopback interface: who reaches it sees streams and clients",
      "keep it in a network of your own, or behind a proxy with authentication")
  }
}
