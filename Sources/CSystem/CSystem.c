#define _GNU_SOURCE
#include "CSystem.h"
#include <stddef.h>

int ms_accept(int listener_fd) {
  return accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
