import Millstream

/// Whether clients can be sent here, and why not.
enum Readiness {
  /// One line for each cause; none: it is ready.
  static func causes(of reports: [LoopReport]) -> [String] {
    reports.flatMap(causes(of:))
  }

  private static func causes(of report: LoopReport) -> [String] {
    let loop = "loop \(report.number)"
    guard report.isUp, let snapshot = report.snapshot else { return ["\(loop) does not answer"] }
    guard snapshot.isRunning else { return ["\(loop) has not started"] }
    let sessions = snapshot.sessions.filter { !$0.isReady }.map { session in
      "\(loop): the \(session.name) session with Postgres is not ready"
        + (session.lastFailure.map { ": \($0)" } ?? "")
    }
    // Without the session it is plain that nothing is heard.
    let isDeaf = snapshot.isNativeHeard == false && sessions.isEmpty
    return sessions + (isDeaf ? ["\(loop) does not listen to the native store yet"] : [])
  }

  /// A loop that has not turned for so long hangs.
  static let longestSilenceMs: Int64 = 5_000

  /// One line for each loop that hangs; `silentMs`: how long ago each has turned.
  static func hanging(silentMs: [Int64]) -> [String] {
    silentMs.enumerated().filter { $0.element > longestSilenceMs }.map { number, silentMs in
      "loop \(number) has not turned for \(silentMs / 1000) s"
    }
  }
}
