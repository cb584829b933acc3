import ArgumentParser
import Glibc

/// Options that come from the environment: `--write-deadline` is `MILLSTREAM_WRITE_DEADLINE`.
///
/// They are put behind the subcommand as if they had been typed, unless the option was typed too. So
/// they are checked, and explained when wrong, in one way.
enum EnvironmentOptions {
  /// A command that takes options from the environment.
  protocol Source {
    /// Its options, without the dashes.
    static var environmentOptions: [EnvironmentOption] { get }
  }

  /// `settings`: what the environment does not say either.
  static func adding(to arguments: [String], settings: SettingsFile? = nil) -> [String] {
    guard let name = arguments.first, let source = source(of: arguments) else { return arguments }
    // In front of what was typed: behind a `--` they would be taken for arguments.
    let added = source.environmentOptions.flatMap { option -> [String] in
      if isTyped(option.name, in: arguments) { return [] }
      return fromEnvironment(option) ?? settings?.arguments(for: option) ?? []
    }
    return [name] + added + arguments.dropFirst()
  }

  /// Whether the option is said in what was typed or in the environment, which go before a file.
  static func isGiven(_ name: String, in arguments: [String]) -> Bool {
    isTyped(name, in: arguments) || value(of: name) != nil
  }

  /// Whether the command that is meant has this option.
  static func takes(_ name: String, _ arguments: [String]) -> Bool {
    source(of: arguments)?.environmentOptions.contains { $0.name == name } ?? false
  }

  /// Nil: the environment does not say.
  static func value(of name: String) -> String? {
    getenv(variable(name)).map { String(cString: $0) }
  }

  private static func source(of arguments: [String]) -> (any Source.Type)? {
    MillstreamCommand.configuration.subcommands
      .first { $0._commandName == arguments.first } as? any Source.Type
  }

  private static func isTyped(_ name: String, in arguments: [String]) -> Bool {
    let flag = "--" + name
    return arguments.contains { $0 == flag || $0.hasPrefix(flag + "=") }
  }

  private static func fromEnvironment(_ option: EnvironmentOption) -> [String]? {
    guard let text = value(of: option.name) else { return nil }
    let flag = "--" + option.name
    if option.ignored == text { return [] }
    switch option.kind {
    case .value: return [flag + "=" + text]
    case .list: return text.split(separator: " ").map { flag + "=" + $0 }
    case .flag: return ["", "0", "false", "no"].contains(text) ? [] : [flag]
    }
  }

  private static func variable(_ name: String) -> String {
    "MILLSTREAM_" + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
  }
}

/// An option that the environment can give.
struct EnvironmentOption {
  enum Kind: Sendable { case value, list, flag }

  var name: String
  var kind = Kind.value
  /// A value that is meant for other commands that have the option too.
  var ignored: String?

  static func value(_ name: String, ignoring ignored: String? = nil) -> EnvironmentOption {
    EnvironmentOption(name: name, ignored: ignored)
  }
  static func list(_ name: String) -> EnvironmentOption {
    EnvironmentOption(name: name, kind: .list)
  }
  static func flag(_ name: String) -> EnvironmentOption {
    EnvironmentOption(name: name, kind: .flag)
  }
}
