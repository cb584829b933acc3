// Tells ThreadSanitizer of Swift's Mutex: preloaded into a program that is built with it (make sanitize).
//
// The quick ways to lock and to unlock are inlined into the program, where the sanitizer sees them. Whoever
// has to wait, and whoever has somebody waiting, calls libswiftSynchronization, which is not instrumented:
// the kernel hands the lock over, and two sides that were both inside withLock look like a race. So these
// calls release and acquire the word of the lock, which is what the quick ways do to it. They are not
// __tsan_mutex_...: that would see locks without their unlocks, where only one of the two had to wait.
//
// The names are those of Swift 6.3: _lockSlow(UInt32) and _unlockSlow() of Synchronization's
// _MutexHandle. Should another have other names, the false reports are back.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define swift_call __attribute__((swiftcall))
#define swift_self __attribute__((swift_context))
#define LOCK $s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF
#define UNLOCK $s15Synchronization12_MutexHandleV11_unlockSlowyyF
#define NAME(symbol) QUOTED(symbol)
#define QUOTED(symbol) #symbol

// In the program; not in another that inherits the environment.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

static swift_call void (*real_lock)(uint32_t thread, swift_self void *handle);
static swift_call void (*real_unlock)(swift_self void *handle);

// Before there is a second thread; a program without Swift has neither.
__attribute__((constructor)) static void find_real(void) {
  real_lock = dlsym(RTLD_NEXT, NAME(LOCK));
  real_unlock = dlsym(RTLD_NEXT, NAME(UNLOCK));
}

swift_call void LOCK(uint32_t thread, swift_self void *handle) {
  real_lock(thread, handle);
  if (__tsan_acquire) __tsan_acquire(handle);
}

swift_call void UNLOCK(swift_self void *handle) {
  if (__tsan_release) __tsan_release(handle);
  real_unlock(handle);
}
