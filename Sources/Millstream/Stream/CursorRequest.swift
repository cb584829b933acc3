/// From where a client wants its stream.
enum CursorRequest: Equatable {
  /// From now on.
  case none
  /// Everything above `id`; `epoch` is the one that the id was given in, if the client knows it.
  case after(id: Int64, epoch: UInt32?)
}
