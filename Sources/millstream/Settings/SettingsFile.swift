import ArgumentParser

/// A file of options: those of `serve`, by their names without the dashes, in TOML. Other commands take from
/// it what they have, too.
struct SettingsFile {
  let path: String
  private let settings: [String: TOMLSetting]

  static let maximumBytes = 65_536

  /// - Throws: `ValidationError` that says what is wrong and in which line.
  static func load(_ path: String) throws(ValidationError) -> SettingsFile {
    let contents = try FileReader.contents(of: path, maximumBytes: maximumBytes)
    return try SettingsFile(path: path, contents: contents)
  }

  /// - Throws: `ValidationError` that says what is wrong and in which line.
  init(path: String, contents: [UInt8]) throws(ValidationError) {
    do {
      let all = try TOMLParser.settings(in: contents)
      for setting in all { try SettingsFile.check(setting) }
      settings = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    } catch {
      throw ValidationError("\(path):\(error.line): \(error.message)")
    }
    self.path = path
  }

  var count: Int { settings.count }

  /// The options as they would be typed; nil: the file does not have it.
  func arguments(for option: EnvironmentOption) -> [String]? {
    guard let value = settings[option.name]?.value else { return nil }
    let flag = "--" + option.name
    switch value {
    case .boolean(let isSet): return isSet ? [flag] : []
    case .list(let values): return values.compactMap(\.argument).map { flag + "=" + $0 }
    case .text, .integer:
      let text = value.argument ?? ""
      return text == option.ignored ? [] : [flag + "=" + text]
    }
  }

  /// `message`, and before it where the options are that it names and that are from this file, which
  /// `isFromElsewhere` tells.
  func located(_ message: String, unless isFromElsewhere: (String) -> Bool) -> String {
    let named = settings.values.filter {
      SettingsFile.names($0.name, in: message) && !isFromElsewhere($0.name)
    }
    return named.map(\.line).sorted().map { "\(path):\($0): " }.joined() + message
  }

  /// Whether a message names an option.
  static func names(_ name: String, in message: String) -> Bool {
    let words = message.split { !($0 == "-" || ($0.isASCII && $0.isLetter)) }
    return words.contains { $0 == "--" + name }
  }

  // MARK: What may be in it

  private static let options = Dictionary(
    uniqueKeysWithValues: Serve.environmentOptions.map { ($0.name, $0.kind) })

  private static func check(_ setting: TOMLSetting) throws(TOMLError) {
    guard setting.name != "config" else {
      throw TOMLError(line: setting.line, message: "a file of options cannot name another one")
    }
    guard let kind = options[setting.name] else {
      throw TOMLError(line: setting.line, message: unknown(setting.name))
    }
    guard kind.takes(setting.value) else {
      throw TOMLError(line: setting.line, message: "\(setting.name) is \(kind.wanted)")
    }
  }

  private static func unknown(_ name: String) -> String {
    let meant = name.lowercased().split(separator: "_").joined(separator: "-")
      .drop { $0 == "-" }
    let near = NearestName.of(String(meant), among: options.keys)
    let hint = near.map { "; '\($0)' is meant" } ?? ""
    return "there is no option '\(String(name.prefix(64)))' of 'serve'\(hint)"
  }
}

extension TOMLValue {
  /// As it would be typed; nil: only lists and flags are typed otherwise.
  fileprivate var argument: String? {
    switch self {
    case .text(let text): text
    case .integer(let number): "\(number)"
    case .boolean, .list: nil
    }
  }
}

extension EnvironmentOption.Kind {
  fileprivate func takes(_ value: TOMLValue) -> Bool {
    switch (self, value) {
    case (.value, .text), (.value, .integer), (.flag, .boolean): true
    case (.list, .list(let values)): values.allSatisfy { $0.argument != nil }
    default: false
    }
  }

  fileprivate var wanted: String {
    switch self {
    case .value: "a text in quotes or a number"
    case .list: "a list: [\"…\", \"…\"]"
    case .flag: "true or false"
    }
  }
}
