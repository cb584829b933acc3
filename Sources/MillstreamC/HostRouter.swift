import CMillstream
import Glibc
import Millstream

/// Makes sense of what a host says that a client wants. It does no I/O and can be used on any thread.
struct HostRouter: Sendable {
  private let names: SubscriptionMaker

  init(_ configuration: EndpointConfiguration) {
    names = SubscriptionMaker(configuration)
  }

  func subscription(
    _ given: millstream_subscription, _ instance: Instance
  ) throws(Refusal) -> Subscription {
    guard let store = StoreKind(given.store), (given.stream == nil) != (given.signed_name == nil)
    else { throw Refusal(MILLSTREAM_INVALID_ARGUMENT) }
    guard instance.serves(store) else { throw Refusal(MILLSTREAM_NOT_FOUND) }
    let stream = StreamIdentity(store: store, name: try name(given))
    do {
      return try names.subscription(
        to: stream, cursor: given.cursor.map { String(cString: $0) }, hasHead: !given.is_head_sent)
    } catch {
      throw Refusal(error == .cursor ? MILLSTREAM_INVALID_CURSOR : MILLSTREAM_INVALID_TEXT)
    }
  }

  private func name(_ given: millstream_subscription) throws(Refusal) -> String {
    if let stream = given.stream {
      guard let name = String(validatingCString: stream) else {
        throw Refusal(MILLSTREAM_INVALID_TEXT)
      }
      return name
    }
    guard let name = names.verify(String(cString: given.signed_name)) else {
      throw Refusal(MILLSTREAM_NOT_SIGNED)
    }
    return name
  }

  func sign(_ name: String) -> String? { names.sign(name) }
}
