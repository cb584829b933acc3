/// One connection of the load client: a slot in the slab, and all that it owns. The order of its
/// members leaves no holes: 56 bytes.
struct ClientConnection {
  enum Stage: UInt8 {
    /// Not begun, or gone.
    case closed
    /// `connect` is under way.
    case connecting
    /// The request is sent, the server has not said yet that it is subscribed.
    case waiting
    case subscribed
  }

  var descriptor: Int32 = -1
  /// Messages so far.
  var received: UInt32 = 0
  var order = IDOrder()
  var stage = Stage.closed
  var parser = FrameParser()
}
