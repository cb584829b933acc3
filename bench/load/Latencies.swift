/// How long messages took, told apart so that the load client's own slowness is never taken for the
/// server's.
struct Latencies: ~Copyable {
  /// From the stamp in the payload to the network stack of this machine: the server's share. Without
  /// the kernel's time of arrival: to the start of the batch in which epoll reported the bytes.
  var arrival = Histogram()
  /// From the stamp in the payload to this program.
  var receipt = Histogram()
  /// From the arrival to this program: what this program was late.
  var lag = Histogram()

  @inline(__always)
  mutating func record(stampNs: Int64, arrivedNs: Int64, receivedNs: Int64) {
    lag.record(receivedNs - arrivedNs)
    guard stampNs > 0 else { return }
    arrival.record(arrivedNs - stampNs)
    receipt.record(receivedNs - stampNs)
  }
}
