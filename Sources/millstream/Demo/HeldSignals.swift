import Glibc

/// SIGINT and SIGTERM, held back while something is set up that has to be taken down again. They
/// stay due, and come when they are released.
enum HeldSignals {
  /// One of them came: what is being set up is not wanted any more.
  struct Interruption: Error {}

  private static var both: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGINT)
    sigaddset(&set, SIGTERM)
    return set
  }

  static func hold() {
    var set = both
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// To be called when somebody handles them.
  static func release() {
    var set = both
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  /// Does nothing for a while, unless one of them comes.
  static func pause(ms: Int) throws(Interruption) {
    var set = both
    var limit = timespec(tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000)
    if sigtimedwait(&set, nil, &limit) > 0 { throw Interruption() }
  }
}
