import ArgumentParser

/// Which file of options there is. It is read before the options are: see `GivenArguments`.
struct ConfigOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A file of options in TOML, by their names without the dashes; what is typed or in the "
        + "environment goes before it.", valueName: "path"), completion: .file())
  var config: String?

  static let environmentOptions: [EnvironmentOption] = [.value("config", ignoring: "")]
}
