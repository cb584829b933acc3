#define _GNU_SOURCE
#include <sched.h>
#include "CSystem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

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

/* There is no MSG_NOSIGNAL for pipes: the signal is held up, and taken away if the write has caused it. */
ssize_t ms_write_pipe(int fd, const void *bytes, size_t count) {
  sigset_t pipe_signal, before, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  sigpending(&pending);
  ssize_t written = write(fd, bytes, count);
  int error = errno;
  if (written < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE)) {
    struct timespec now = {0, 0};
    while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR) continue;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return written;
}

bool ms_pipe_has_reader(int fd) {
  struct pollfd asked = {.fd = fd, .events = POLLOUT};
  return poll(&asked, 1, 0) < 0 || (asked.revents & (POLLERR | POLLNVAL)) == 0;
}

static bool has_option(int fd, int option, int value) {
  int is = -1;
  socklen_t length = sizeof is;
  return getsockopt(fd, SOL_SOCKET, option, &is, &length) == 0 && is == value;
}

bool ms_is_listening(int fd) {
  return has_option(fd, SO_TYPE, SOCK_STREAM) && has_option(fd, SO_ACCEPTCONN, 1);
}

/* A client that has gone already is one all the same: that is found out when it is served. */
static bool is_connected_stream(int fd) {
  if (!has_option(fd, SO_TYPE, SOCK_STREAM) || has_option(fd, SO_ACCEPTCONN, 1)) return false;
  struct pollfd asked = {.fd = fd, .events = POLLIN};
  bool was_connected = poll(&asked, 1, 0) == 1 && (asked.revents & POLLERR) != 0;
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 || was_connected;
}

enum ms_descriptor_kind ms_descriptor_kind(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return MS_NOT_A_CLIENT;
  if (S_ISSOCK(status.st_mode)) return is_connected_stream(fd) ? MS_SOCKET : MS_NOT_A_CLIENT;
  bool is_written = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
  return S_ISFIFO(status.st_mode) && is_written ? MS_PIPE : MS_NOT_A_CLIENT;
}

bool ms_make_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return false;
  return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool is_epoll_watching(const char *descriptor, int watched) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%.16s", descriptor);
  FILE *info = fopen(path, "re");
  if (info == NULL) return false;
  bool is_found = false;
  int target;
  while (!is_found && fgets(line, sizeof line, info) != NULL) {
    is_found = sscanf(line, "tfd: %d", &target) == 1 && target == watched;
  }
  fclose(info);
  return is_found;
}

int ms_epoll_watching(int watched) {
  DIR *descriptors = opendir("/proc/self/fd");
  if (descriptors == NULL) return -1;
  int found = -1;
  struct dirent *entry;
  while (found < 0 && (entry = readdir(descriptors)) != NULL) {
    if (is_epoll_watching(entry->d_name, watched)) found = atoi(entry->d_name);
  }
  closedir(descriptors);
  return found;
}

int ms_poll_both(int inner, int timer) {
  int both = epoll_create1(EPOLL_CLOEXEC);
  if (both < 0) return -1;
  struct epoll_event readable = {.events = EPOLLIN};
  if (epoll_ctl(both, EPOLL_CTL_ADD, inner, &readable) == 0 &&
      epoll_ctl(both, EPOLL_CTL_ADD, timer, &readable) == 0) {
    return both;
  }
  int error = errno;
  close(both);
  errno = error;
  return -1;
}

int ms_timer_open(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }

void ms_timer_set(int timer, long after_ms) {
  struct itimerspec after = {
      .it_value = {.tv_sec = after_ms / 1000, .tv_nsec = after_ms % 1000 * 1000000}};
  if (after_ms == 0) after.it_value.tv_nsec = 1;
  timerfd_settime(timer, 0, &after, NULL);
}
