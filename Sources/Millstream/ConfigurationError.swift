/// What is wrong with a setting, in a sentence for the person who made it.
public struct ConfigurationError: Error, CustomStringConvertible {
  /// The sentence, without a full stop.
  public let description: String

  init(_ description: String) {
    self.description = description
  }
}
