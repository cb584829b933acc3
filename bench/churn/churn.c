/* Churn: opens and closes subscriptions on ever new streams, as fast as the server lets it.
 *
 *   churn PORT PATH COUNT CLIENTS HOLD_MS
 *
 * PATH has a %d, which becomes 0, 1, ... below COUNT. CLIENTS run at a time. Each connects, sends its
 * request, waits for the connected frame, stays for HOLD_MS and goes, by a reset, so that no port is
 * kept for a minute. Every two seconds it says on stderr: opened N in S s. At the end, or at SIGTERM,
 * it says: ended N in S s, F failed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 256, SOURCES = 16, MOST_CLIENTS = 15000, SAY_MS = 2000 };

static const char mark[] = "event: pgbus:connected";

typedef struct {
  int fd;
  /* How much of `mark` has come; all of it: subscribed. */
  unsigned matched;
  int is_asked;
  long long due_ms;
} Client;

static Client clients[MOST_CLIENTS];
/* Those that stay, in the order in which they go: all stay equally long. */
static int staying[MOST_CLIENTS];
static int first_staying, staying_count;
static int epoll_fd, port, client_count, hold_ms;
static const char *path;
static long begun, ended, failed, count;
static volatile sig_atomic_t is_stopped;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void stop(int number) {
  (void)number;
  is_stopped = 1;
}

static long long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static struct sockaddr_in loopback(unsigned number, int at_port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)at_port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number)};
  return address;
}

/* IP_BIND_ADDRESS_NO_PORT: any port that is free towards this destination will do. */
static void connect_from(int fd, unsigned source) {
  int on = 1;
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  struct sockaddr_in from = loopback(source, 0), to = loopback(0, port);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
}

static void begin(int index) {
  Client *client = &clients[index];
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client->fd < 0) die("socket");
  client->matched = 0;
  client->is_asked = 0;
  connect_from(client->fd, (unsigned)(begun % SOURCES));
  struct epoll_event event = {.events = EPOLLOUT, .data.u32 = (unsigned)index};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0) die("epoll_ctl");
}

static void go(int index, int is_failed) {
  Client *client = &clients[index];
  close(client->fd);
  client->fd = -1;
  ended++;
  failed += is_failed;
}

static void ask(int index) {
  static char request[4096];
  Client *client = &clients[index];
  int size = snprintf(request, sizeof request, "GET ");
  size += snprintf(request + size, sizeof request - (size_t)size, path, begun++);
  size += snprintf(request + size, sizeof request - (size_t)size, " HTTP/1.1\r\nHost: a\r\n\r\n");
  if (send(client->fd, request, (size_t)size, MSG_NOSIGNAL) != size) return go(index, 1);
  client->is_asked = 1;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)index};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->fd, &event) < 0) die("epoll_ctl");
}

static void stay(int index) {
  clients[index].due_ms = now_ms() + hold_ms;
  staying[(first_staying + staying_count++) % MOST_CLIENTS] = index;
}

static void hear(int index) {
  static char bytes[1 << 16];
  Client *client = &clients[index];
  ssize_t size = recv(client->fd, bytes, sizeof bytes, 0);
  if (size < 0 && errno == EAGAIN) return;
  int was_subscribed = client->matched == sizeof mark - 1;
  if (size <= 0) {
    /* One that stays is still in its queue and goes there. */
    if (!was_subscribed) go(index, 1);
    return;
  }
  for (ssize_t i = 0; i < size && client->matched < sizeof mark - 1; i++)
    client->matched = bytes[i] == mark[client->matched] ? client->matched + 1 : bytes[i] == 'e';
  if (client->matched == sizeof mark - 1 && !was_subscribed) stay(index);
}

static void let_go(void) {
  long long now = now_ms();
  while (staying_count > 0 && clients[staying[first_staying]].due_ms <= now) {
    go(staying[first_staying], 0);
    first_staying = (first_staying + 1) % MOST_CLIENTS;
    staying_count--;
  }
}

/* Starts where somebody has gone. `started` counts ahead of `begun`, which counts requests. */
static void fill(void) {
  static long started;
  for (int i = 0; i < client_count && started < count; i++) {
    if (clients[i].fd >= 0) continue;
    begin(i);
    started++;
  }
}

static void say(const char *what, long long since_ms) {
  fprintf(stderr, "%s %ld in %.3f s, %ld failed\n", what, ended,
          (double)(now_ms() - since_ms) / 1000, failed);
}

static void run(void) {
  struct epoll_event events[BATCH];
  long long start = now_ms(), said = start;
  while (!is_stopped && ended < count) {
    fill();
    int ready = epoll_wait(epoll_fd, events, BATCH, staying_count > 0 ? 1 : 50);
    for (int i = 0; i < ready; i++) {
      int index = (int)events[i].data.u32;
      if (clients[index].fd < 0) continue;
      if (clients[index].is_asked) hear(index);
      else ask(index);
    }
    let_go();
    if (now_ms() - said < SAY_MS) continue;
    said = now_ms();
    say("opened", start);
  }
  say("ended", start);
}

int main(int argument_count, char **arguments) {
  if (argument_count != 6) {
    fprintf(stderr, "usage: churn PORT PATH COUNT CLIENTS HOLD_MS\n");
    return 64;
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  port = atoi(arguments[1]);
  path = arguments[2];
  count = atol(arguments[3]);
  client_count = atoi(arguments[4]);
  hold_ms = atoi(arguments[5]);
  if (client_count < 1 || client_count > MOST_CLIENTS) return 64;
  signal(SIGTERM, stop);
  for (int i = 0; i < client_count; i++) clients[i].fd = -1;
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) die("epoll_create1");
  run();
  return failed > 0;
}
