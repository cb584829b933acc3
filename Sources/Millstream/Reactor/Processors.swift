import CSystem

/// What a loop runs on.
public enum Processors {
  /// How many this process may run on; at least 1.
  public static var count: Int { max(Int(ms_processor_count()), 1) }
}
