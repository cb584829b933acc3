// Counts what a server calls: loaded before it (LD_PRELOAD), it puts itself in front of the C library
// and counts in a file that the benchmark maps, too, so that it can be read at any time.
//
// MILLSTREAM_COUNTS names the file. Its 64-bit numbers are in the order of `enum counter`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum counter { SENDS, RECEIVES, WAITS, CONTROLS, READS, WRITES, ALLOCATIONS, COUNTERS };

// Until the file is mapped, and where there is none, nobody looks.
static atomic_ullong unseen[COUNTERS];
static atomic_ullong *counters = unseen;

static void count(enum counter which) {
  atomic_fetch_add_explicit(&counters[which], 1, memory_order_relaxed);
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("MILLSTREAM_COUNTS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof unseen, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) counters = mapped;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
  static __typeof__(&send) next;
  if (!next) next = NEXT(send);
  count(SENDS);
  return next(fd, bytes, length, flags);
}

ssize_t recv(int fd, void *bytes, size_t length, int flags) {
  static __typeof__(&recv) next;
  if (!next) next = NEXT(recv);
  count(RECEIVES);
  return next(fd, bytes, length, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int maximum, int timeout) {
  static __typeof__(&epoll_wait) next;
  if (!next) next = NEXT(epoll_wait);
  count(WAITS);
  return next(fd, events, maximum, timeout);
}

int epoll_ctl(int fd, int operation, int target, struct epoll_event *event) {
  static __typeof__(&epoll_ctl) next;
  if (!next) next = NEXT(epoll_ctl);
  count(CONTROLS);
  return next(fd, operation, target, event);
}

ssize_t read(int fd, void *bytes, size_t length) {
  static __typeof__(&read) next;
  if (!next) next = NEXT(read);
  count(READS);
  return next(fd, bytes, length);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  static __typeof__(&write) next;
  if (!next) next = NEXT(write);
  count(WRITES);
  return next(fd, bytes, length);
}

// The C library's own allocator under another name: dlsym itself may allocate.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  count(ALLOCATIONS);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(ALLOCATIONS);
  return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
  count(ALLOCATIONS);
  return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count(ALLOCATIONS);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  count(ALLOCATIONS);
  *block = __libc_memalign(alignment, size);
  return *block ? 0 : 12;
}
