#define _GNU_SOURCE
#include <sched.h>
#include "CSystem.h"
#include <linux/sockios.h>
#include <stddef.h>
#include <sys/ioctl.h>

int ms_accept(int listener_fd) {
  return accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

long ms_held_bytes(int fd) {
  int held = 0;
  return ioctl(fd, SIOCOUTQ, &held) == 0 ? held : 0;
}

int ms_processor_count(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
