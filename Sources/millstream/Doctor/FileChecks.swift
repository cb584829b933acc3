import ArgumentParser
import CLibPQ
import Glibc
import Logging
import Millstream

/// The files that are named: the one of options, and those of secrets.
struct FileChecks {
  let report: DoctorReport
  let serve: Serve

  /// Guessing a shorter secret from one signed name is not out of the question.
  private static let secretBytes = 16

  func run() {
    checkSettings()
    checkSecrets()
    checkTokens()
    checkAdminToken()
  }

  // MARK: Options

  private func checkSettings() {
    guard let path = serve.config.config else {
      return report.ok("options: from the command line and the environment; no --config")
    }
    // It has been read in order, or there were no checks.
    let count = GivenArguments.atStart.map { $0.settings?.count ?? 0 }
    let hasPassword = [serve.database.database, serve.listenDatabase]
      .contains { FileChecks.hasPassword($0 ?? "") }
    guard hasPassword, FileAccess.isForAll(path) else {
      return report.ok("options: \((try? count.get()) ?? 0) of them in \(path)")
    }
    report.warn(
      "options: \(path) can be read by all accounts, and the connection string has a password",
      FileAccess.remedy(path))
  }

  private static func hasPassword(_ connectionString: String) -> Bool {
    guard let parsed = PQconninfoParse(connectionString, nil) else { return false }
    defer { PQconninfoFree(parsed) }
    var option = parsed
    while let keyword = option.pointee.keyword {
      if strcmp(keyword, "password") == 0 { return option.pointee.val != nil }
      option += 1
    }
    return false
  }

  // MARK: Secrets

  private func checkSecrets() {
    do {
      report(on: try serve.secrets.load())
    } catch {
      report.fail(
        "secrets: \(MillstreamCommand.message(for: error))",
        "check --secret-file, or MILLSTREAM_SECRET")
    }
    warnIfForAll(serve.secrets.secretFile, "secrets")
  }

  private func report(on secrets: [[UInt8]]) {
    guard let shortest = secrets.map(\.count).min() else { return reportNone() }
    guard shortest >= FileChecks.secretBytes else {
      report.warn(
        "secrets: the shortest of \(secrets.count) has \(shortest) bytes, which can be guessed",
        "use one of \(FileChecks.secretBytes) bytes or more, such as 'openssl rand -hex 32' prints")
      return
    }
    report.ok("secrets: \(secrets.count), the first signs")
  }

  private func reportNone() {
    if serve.tokens.hasKeys { return report.ok("secrets: there is none; tokens open streams") }
    report.warn(
      "secrets: there is none, so only streams that --public names can be read",
      "give --secret-file or set MILLSTREAM_SECRET, to what the application signs with")
  }

  // MARK: Tokens

  private func checkTokens() {
    let silent = Logger(label: "doctor") { _ in SwiftLogNoOpLogHandler() }
    do {
      if let settings = try serve.tokens.load(silent), !settings.keys.isEmpty {
        report.ok("tokens: \(settings.keys.count) keys in files")
      }
    } catch {
      report.fail(
        "tokens: \(MillstreamCommand.message(for: error))", "mend the file, or leave the option out"
      )
    }
    warnIfForAll(serve.tokens.jwtSecretFile, "tokens")
  }

  private func checkAdminToken() {
    guard let path = serve.adminOptions.adminTokenFile else { return }
    do {
      _ = try AdminToken.load(path)
      report.ok("admin token: there is one")
    } catch {
      report.fail(
        "admin token: \(error.message)",
        "'openssl rand -hex 32 > \(path)', and let the server's account alone read it")
    }
    warnIfForAll(path, "admin token")
  }

  private func warnIfForAll(_ path: String?, _ subject: String) {
    guard let path, FileAccess.isForAll(path) else { return }
    report.warn("\(subject): \(path) can be read by all accounts", FileAccess.remedy(path))
  }
}

/// Who may read a file.
enum FileAccess {
  /// Every account of the machine, as far as folders let it.
  static func isForAll(_ path: String) -> Bool {
    var facts = stat()
    // What is no file is no place where secrets lie.
    return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
      && facts.st_mode & S_IROTH != 0
  }

  static func remedy(_ path: String) -> String {
    "'chmod o= \(path)', and give it to the group of the server's account"
  }
}
