/// A client whose request is here, until it is let in or refused.
struct Arrival {
  var requestID = RequestID()
  /// Its own address, not that of a trusted proxy; nil: it has none, as on a Unix socket.
  var address: NetworkAddress?
  /// What lets a page of another origin read the answer.
  var originFields: [(name: String, value: String)] = []
  /// The streams that it asks for whose names are in order, for the log.
  var streams: [String] = []
  /// It was counted already where that can be done before it is known who it is.
  var hasEntered = false
  /// What has to be remembered of it; nil: nothing.
  var admission: Admission?
}
