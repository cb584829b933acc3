#define _GNU_SOURCE
#include <sched.h>
#include "CSystem.h"
#include <stddef.h>

int ms_accept(int listener_fd) {
  return accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int ms_processor_count(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
