/// When the run reached what, on `Clock`, in nanoseconds; and what it had used by then.
struct Timeline {
  let startNs: Int64
  let startUse: ProcessUse
  var subscribedNs: Int64?
  var subscribedUse: ProcessUse?
  /// When the last of all messages so far was received.
  var lastMessageNs: Int64?
  var timedOut = false

  init() {
    startNs = Clock.nowNs()
    startUse = ProcessUse.now()
  }

  mutating func allSubscribed() {
    subscribedNs = Clock.nowNs()
    subscribedUse = ProcessUse.now()
  }

  func secondsFromStart(to timeNs: Int64?) -> Double? {
    timeNs.map { Double($0 - startNs) / 1e9 }
  }
}
