import Logging
import Millstream

/// Where operators and their programs ask how it is.
enum AdminAddress {
  case none
  /// Nothing was said: there, if it can be had.
  case usual(ListenAddress)
  /// There, or not at all.
  case asked(ListenAddress)

  static let usual = "127.0.0.1:9464"

  /// - Throws: what is wrong with the text; nil: none was given.
  init(_ text: String?) throws(ConfigurationError) {
    switch text {
    case "none": self = .none
    case nil: self = .usual(try ListenAddress(AdminAddress.usual))
    case let text?: self = .asked(try ListenAddress(text))
    }
  }

  /// Nil: without.
  ///
  /// - Throws: why the address cannot be had.
  func listen(logger: Logger) throws(ConfigurationError) -> ListeningSocket? {
    switch self {
    case .none: return nil
    case .asked(let address): return try address.listen()[0]
    case .usual(let address):
      do {
        return try address.listen()[0]
      } catch {
        logger.notice(
          "no admin address; going on without it", metadata: ["reason": "\(error)"])
        return nil
      }
    }
  }
}
