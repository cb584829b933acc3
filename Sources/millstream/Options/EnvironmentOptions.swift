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

  static func adding(to arguments: [String]) -> [String] {
    guard let name = arguments.first,
      let command = MillstreamCommand.configuration.subcommands.first(where: {
        $0._commandName == name
      }),
      let source = command as? any Source.Type
    else { return arguments }
    // In front of what was typed: behind a `--` they would be taken for arguments.
    return [name] + source.environmentOptions.flatMap { added($0, to: arguments) }
      + arguments.dropFirst()
  }

  private static func added(_ option: EnvironmentOption, to arguments: [String]) -> [String] {
    let flag = "--" + option.name
    let isTyped = arguments.contains { $0 == flag || $0.hasPrefix(flag + "=") }
    guard !isTyped, let value = getenv(variable(option.name)) else { return [] }
    let text = String(cString: value)
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
  enum Kind { case value, list, flag }

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
