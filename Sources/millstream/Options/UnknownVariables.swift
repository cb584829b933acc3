import Glibc
import Logging

/// Variables of the environment that look like options and are none: mistyped, they would count for nothing
/// without a word.
enum UnknownVariables {
  /// `names`: of all variables. Each with what may be meant.
  static func among(_ names: [String]) -> [(name: String, meant: String?)] {
    let known = EnvironmentOptions.variables
    return names.filter { $0.hasPrefix(EnvironmentOptions.prefix) && !known.contains($0) }
      .filter { !isOfOrchestrator($0) }.sorted()
      .map { ($0, nearest($0, known)) }
  }

  /// What all of them begin with makes none more like another.
  private static func nearest(_ name: String, _ known: Set<String>) -> String? {
    func rest(_ name: String) -> String { String(name.dropFirst(EnvironmentOptions.prefix.count)) }
    return NearestName.of(rest(name), among: known.map(rest))
      .map { EnvironmentOptions.prefix + $0 }
  }

  /// Kubernetes gives every container those of a service, which may have our name (`MILLSTREAM_SERVICE_HOST`,
  /// `MILLSTREAM_PORT_8080_TCP`).
  private static func isOfOrchestrator(_ name: String) -> Bool {
    let rest = name.dropFirst(EnvironmentOptions.prefix.count)
    return rest == "PORT" || rest.hasPrefix("PORT_") || rest.hasPrefix("SERVICE_")
  }

  /// Only said, for somebody else may use them. Their values may be secret.
  static func warn(_ logger: Logger) {
    for (name, meant) in among(names()) {
      var metadata: Logger.Metadata = ["variable": "\(name)"]
      metadata["meant"] = meant.map { "\($0)" }
      logger.warning("a variable of the environment is no option", metadata: metadata)
    }
  }

  private static func names() -> [String] {
    var names: [String] = []
    var next = environ
    while let variable = next.pointee {
      let text = String(cString: variable)
      names.append(String(text.prefix { $0 != "=" }))
      next += 1
    }
    return names
  }
}
