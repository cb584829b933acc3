import ArgumentParser
import Millstream

/// What can be checked without a database.
struct HostChecks {
  let report: DoctorReport
  let secrets: SecretOptions

  /// Guessing a shorter secret from one signed name is not out of the question.
  private static let secretBytes = 16
  /// A few thousand connections are what one process is for.
  private static let descriptors = 4096

  func run() {
    checkSecrets()
    checkDescriptors()
  }

  private func checkSecrets() {
    do {
      report(on: try secrets.load())
    } catch let error as ValidationError {
      report.fail("secrets: \(error.message)", "check --secret-file, or MILLSTREAM_SECRET")
    } catch {
      report.fail("secrets: \(error)", "check --secret-file, or MILLSTREAM_SECRET")
    }
  }

  private func report(on secrets: [[UInt8]]) {
    guard let shortest = secrets.map(\.count).min() else {
      report.warn(
        "secrets: there is none, so only streams that --public names can be read",
        "give --secret-file or set MILLSTREAM_SECRET, to what the application signs with")
      return
    }
    guard shortest >= HostChecks.secretBytes else {
      report.warn(
        "secrets: the shortest of \(secrets.count) has \(shortest) bytes, which can be guessed",
        "use one of \(HostChecks.secretBytes) bytes or more, such as 'openssl rand -hex 32' prints")
      return
    }
    report.ok("secrets: \(secrets.count), the first signs")
  }

  private func checkDescriptors() {
    let limit = DescriptorLimit.raise()
    let text = "descriptors: \(limit), enough for \(Serve.defaultMaxConnections()) connections"
    if limit < HostChecks.descriptors {
      report.warn(text, "raise the hard limit: 'ulimit -Hn', or LimitNOFILE= of the systemd unit")
    } else {
      report.ok(text)
    }
  }
}
