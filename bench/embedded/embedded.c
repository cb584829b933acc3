/* A host in C for the benchmark: its own libev loop and its own port; every client that it accepts is
 * handed over to Millstream, which serves it through the C interface.
 *
 *     embedded CONNINFO pgmq|native
 *
 * Says on stderr where it listens, as `millstream serve` does. SIGTERM ends it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ev.h>
#include <millstream.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_IN_A_TURN = 32 };

static millstream *streamer;

static void check(millstream_result result, const char *what) {
  if (result == MILLSTREAM_OK) return;
  fprintf(stderr, "embedded: %s: %s\n", what, millstream_result_text(result));
  exit(1);
}

static void client_comes(struct ev_loop *loop, ev_io *watcher, int events) {
  (void)loop, (void)events;
  for (int i = 0; i < ACCEPTS_IN_A_TURN; i++) {
    int client = accept4(watcher->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    if (millstream_accept(streamer, client, NULL, 0) != MILLSTREAM_OK) close(client);
  }
}

static void stopped(void *user) { ev_break((struct ev_loop *)user, EVBREAK_ALL); }

static void signal_comes(struct ev_loop *loop, ev_signal *watcher, int events) {
  (void)watcher, (void)events;
  check(millstream_shutdown(streamer, 0, stopped, loop), "shutdown");
}

/* Returns the port. */
static int listen_here(int listener) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 4096) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
    perror("embedded: listen");
    exit(1);
  }
  return ntohs(address.sin_port);
}

static void allow_descriptors(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  allow_descriptors();
  struct ev_loop *loop = ev_default_loop(0);
  const char *patterns[] = {"bench:*"};
  millstream_options options = millstream_options_init();
  options.loop = loop;
  options.database = arguments[1];
  options.stores = strcmp(arguments[2], "pgmq") == 0 ? MILLSTREAM_PGMQ : MILLSTREAM_NATIVE;
  options.public_patterns = patterns;
  options.public_pattern_count = 1;
  options.max_connections = 1000000;
  char error[256];
  millstream_result result = millstream_create(&options, &streamer, error, sizeof error);
  if (result != MILLSTREAM_OK) fprintf(stderr, "embedded: %s\n", error);
  check(result, "create");
  check(millstream_start(streamer), "start");

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int port = listen_here(listener);
  ev_io accepting;
  ev_io_init(&accepting, client_comes, listener, EV_READ);
  ev_io_start(loop, &accepting);
  ev_signal terminating;
  ev_signal_init(&terminating, signal_comes, SIGTERM);
  ev_signal_start(loop, &terminating);
  fprintf(stderr, "embedded ready listen=127.0.0.1:%d\n", port);
  ev_run(loop, 0);
  check(millstream_destroy(streamer), "destroy");
  return 0;
}
