#define _GNU_SOURCE
#include "CLoad.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop_requested;

static struct sockaddr_in address(uint32_t ip, uint16_t port) {
  struct sockaddr_in result;
  memset(&result, 0, sizeof result);
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = htonl(ip);
  result.sin_port = htons(port);
  return result;
}

/* IP_BIND_ADDRESS_NO_PORT leaves the choice of the port to connect(2), which only has to find one
 * that is free towards this destination: without it, 28,000 connections exhaust all ports. */
static int bind_source(int fd, uint32_t source_ip) {
  int on = 1;
  struct sockaddr_in source = address(source_ip, 0);
  if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0) return -1;
  return bind(fd, (struct sockaddr *)&source, sizeof source);
}

static int prepare(int fd, uint32_t source_ip, int wants_arrival) {
  int on = 1;
  if (wants_arrival && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0) return -1;
  return source_ip ? bind_source(fd, source_ip) : 0;
}

int load_connect(uint32_t source_ip, uint32_t ip, uint16_t port, int wants_arrival) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in target = address(ip, port);
  if (fd < 0) return -1;
  if (prepare(fd, source_ip, wants_arrival) == 0 &&
      (connect(fd, (struct sockaddr *)&target, sizeof target) == 0 || errno == EINPROGRESS))
    return fd;
  int reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

int load_socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

static int64_t arrival(struct msghdr *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    struct timespec time;
    memcpy(&time, CMSG_DATA(c), sizeof time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
  }
  return 0;
}

ssize_t load_receive(int fd, void *buffer, size_t size, int64_t *arrived_ns) {
  union {
    struct cmsghdr aligned;
    char bytes[CMSG_SPACE(sizeof(struct timespec)) + 64];
  } control;
  struct iovec part = {buffer, size};
  struct msghdr message = {0};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  ssize_t received = recvmsg(fd, &message, 0);
  *arrived_ns = received > 0 ? arrival(&message) : 0;
  return received;
}

static void on_signal(int number) {
  (void)number;
  stop_requested = 1;
}

void load_catch_signals(void) {
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

int load_stop_requested(void) { return stop_requested; }
