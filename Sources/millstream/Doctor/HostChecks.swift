import Glibc
import Millstream

/// What the machine allows.
struct HostChecks {
  let report: DoctorReport
  let serve: Serve

  /// A few thousand connections are what one process is for.
  private static let descriptors = 4096
  /// As many clients may come at once and wait to be accepted.
  private static let backlog = 4096

  func run() {
    checkDescriptors()
    checkBacklog()
  }

  private func checkDescriptors() {
    let limit = DescriptorLimit.raise()
    let possible = Serve.defaultMaxConnections()
    let text = "descriptors: \(limit), enough for \(possible) connections"
    let remedy = "raise the hard limit: 'ulimit -Hn', or LimitNOFILE= of the systemd unit"
    if let wanted = serve.maxConnections, wanted > possible {
      report.fail("\(text), and --max-connections is \(wanted)", remedy)
    } else if limit < HostChecks.descriptors {
      report.warn(text, remedy)
    } else {
      report.ok(text)
    }
  }

  /// The kernel cuts what is asked for at listen(2) down to this.
  private func checkBacklog() {
    let path = "/proc/sys/net/core/somaxconn"
    guard let contents = try? FileReader.contents(of: path),
      let limit = Int(String(decoding: contents, as: UTF8.self).filter { $0.isNumber })
    else { return }
    let text = "queue of listening sockets: \(limit)"
    if limit < HostChecks.backlog {
      report.warn(
        "\(text), so of more clients that come at once some wait for seconds",
        "sysctl net.core.somaxconn=\(HostChecks.backlog), and for good in /etc/sysctl.d")
    } else {
      report.ok(text)
    }
  }
}
