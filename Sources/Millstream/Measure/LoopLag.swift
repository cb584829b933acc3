/// How late a timer that fires again and again is: for so long the loop was busy with something else.
struct LoopLag {
  private let intervalUs: Int64
  private var dueUs: Int64?

  init(intervalMs: Int64) {
    intervalUs = intervalMs * 1000
  }

  /// It fires: how late, in microseconds; nil the first time. As libev has it, a firing that was missed
  /// altogether is not made up for.
  mutating func fired(nowUs: Int64) -> Int64? {
    let lateUs = dueUs.map { max(nowUs - $0, 0) }
    dueUs = max((dueUs ?? nowUs) + intervalUs, nowUs)
    return lateUs
  }
}
