import ArgumentParser
import Glibc

/// What a command is given: first what was typed, then the environment, then a file of options.
struct GivenArguments: Sendable {
  /// As if all of it had been typed.
  let arguments: [String]
  /// Nil: none was named.
  let settings: SettingsFile?
  private let typed: [String]

  /// What the process was started with, and the file as it was then.
  static let atStart = Result { () throws(ValidationError) in try GivenArguments() }

  /// As it is now.
  ///
  /// - Throws: `ValidationError` that says what is wrong with the file.
  init(typed: [String] = Array(CommandLine.arguments.dropFirst())) throws(ValidationError) {
    var settings: SettingsFile?
    if let path = GivenArguments.settingsPath(typed) { settings = try .load(path) }
    self.settings = settings
    self.typed = typed
    // Help can be had whatever is in the environment.
    arguments =
      GivenArguments.asksForHelp(typed)
      ? typed : try EnvironmentOptions.adding(to: typed, settings: settings)
  }

  /// What is wrong, in a sentence, with the lines of the file or the variables that it comes from.
  func message(for error: any Error) -> String {
    let message = DurationArgument.explain(MillstreamCommand.message(for: error))
    let located = EnvironmentOptions.located(message, typed)
    if located != message { return located }
    return settings?.located(message) { EnvironmentOptions.isGiven($0, in: typed) } ?? message
  }

  private static func asksForHelp(_ typed: [String]) -> Bool {
    typed.prefix { $0 != "--" }.contains { ["--help", "-h", "--version"].contains($0) }
  }

  /// Nil: none, or there is only help to be shown.
  private static func settingsPath(_ typed: [String]) -> String? {
    let options = typed.prefix { $0 != "--" }
    guard EnvironmentOptions.takes("config", typed), !asksForHelp(typed) else { return nil }
    for (index, option) in options.enumerated().reversed() {
      if option.hasPrefix("--config=") { return String(option.dropFirst("--config=".count)) }
      // Without a value it is refused soon.
      if option == "--config" { return index + 1 < typed.count ? typed[index + 1] : nil }
    }
    let path = EnvironmentOptions.value(of: "config")
    return path == "" ? nil : path
  }
}
