import Glibc

/// Why the load client cannot go on; not what a server did wrong, which is counted.
enum LoadError: Error {
  case usage(String)
  case system(String, Int32)
  case tooFewDescriptors(limit: Int, wanted: Int)

  var text: String {
    switch self {
    case .usage(let reason): reason
    case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
    case .tooFewDescriptors(let limit, let wanted):
      "\(wanted) connections need more than the \(limit) descriptors that this process may have"
    }
  }
}
