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

  /// What the variables of options begin with.
  static let prefix = "MILLSTREAM_"

  /// `settings`: what the environment does not say either.
  ///
  /// - Throws: `ValidationError` that says which variable is not in order.
  static func adding(
    to arguments: [String], settings: SettingsFile? = nil
  ) throws(ValidationError) -> [String] {
    guard let name = arguments.first, let source = source(of: arguments) else { return arguments }
    // In front of what was typed: behind a `--` they would be taken for arguments.
    var added: [String] = []
    for option in source.environmentOptions where !isTyped(option.name, in: arguments) {
      added += try fromEnvironment(option) ?? settings?.arguments(for: option) ?? []
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

  private static func fromEnvironment(
    _ option: EnvironmentOption
  ) throws(ValidationError) -> [String]? {
    guard let text = value(of: option.name) else { return nil }
    let flag = "--" + option.name
    if option.ignored == text { return [] }
    switch option.kind {
    case .value: return [flag + "=" + text]
    case .list: return text.split(separator: " ").map { flag + "=" + $0 }
    case .flag: return try isSet(option.name, text) ? [flag] : []
    }
  }

  private static func isSet(_ name: String, _ text: String) throws(ValidationError) -> Bool {
    switch text.lowercased() {
    case "true", "1", "yes", "on": return true
    case "false", "0", "no", "off", "": return false
    default:
      throw ValidationError(
        "\(variable(name)) is true, 1, yes or on, or else false, 0, no, off or empty")
    }
  }

  private static func variable(_ name: String) -> String {
    prefix + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
  }

  /// All that some command reads.
  static let variables: Set<String> = {
    let sources = MillstreamCommand.configuration.subcommands.compactMap {
      $0 as? any Source.Type
    }
    let names = sources.flatMap { source in source.environmentOptions.map { variable($0.name) } }
    return Set(names).union([prefix + "SECRET"])
  }()

  /// `message`, and before it the variables of the options that it names, unless these were typed.
  static func located(_ message: String, _ arguments: [String]) -> String {
    let options = source(of: arguments)?.environmentOptions ?? []
    let named = options.map(\.name).filter {
      SettingsFile.names($0, in: message) && !isTyped($0, in: arguments) && value(of: $0) != nil
    }
    return named.map { variable($0) + ": " }.joined() + message
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
