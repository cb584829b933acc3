/// What this library calls itself, in logs, `--version` and error pages.
public enum Version {
  /// The version in the form `MAJOR.MINOR.PATCH` (semver.org).
  public static let text = "0.1.0"
}
