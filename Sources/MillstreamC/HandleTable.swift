import Glibc
import Synchronization

/// What is behind the handles that C holds: a handle is a number and no address, so that one that was
/// freed, or never was one, is found out instead of followed.
final class HandleTable<Object: AnyObject & Sendable>: Sendable {
  private struct Entries {
    var objects: [UInt: Object] = [:]
    var next: UInt = 16
  }

  private let entries = Mutex(Entries())

  /// A handle for `object`, which it keeps.
  func add(_ object: Object) -> OpaquePointer {
    entries.withLock { entries in
      let handle = entries.next
      entries.next += 16
      entries.objects[handle] = object
      return OpaquePointer(bitPattern: handle)!
    }
  }

  subscript(_ handle: OpaquePointer?) -> Object? {
    guard let handle else { return nil }
    return entries.withLock { $0.objects[UInt(bitPattern: handle)] }
  }

  /// The object, which goes when the caller lets go of it; the handle is no longer one.
  func remove(_ handle: OpaquePointer?) -> Object? {
    guard let handle else { return nil }
    return entries.withLock { $0.objects.removeValue(forKey: UInt(bitPattern: handle)) }
  }

  /// Nobody holds the handles of these any more.
  func removeAll(where isOver: (Object) -> Bool) {
    let gone = entries.withLock { entries in
      let gone = entries.objects.filter { isOver($0.value) }
      for handle in gone.keys { entries.objects[handle] = nil }
      return gone
    }
    // What goes may call back: not under the lock.
    withExtendedLifetime(gone) {}
  }
}

/// All instances of the process, all requests that wait for an answer, and all questions to stores.
let hosts = HandleTable<Host>()
let authorizations = HandleTable<HostAuthorization>()
let questions = HandleTable<HostQuestion>()

/// Whether this process is a child of the one that has loaded the library: nothing may be done in it.
enum Fork {
  private static let children = Atomic<Int>(0)

  /// Counts from now on.
  static let watch: Void = {
    pthread_atfork(nil, nil) { Fork.children.add(1, ordering: .relaxed) }
  }()

  static var isChild: Bool { children.load(ordering: .relaxed) > 0 }
}
