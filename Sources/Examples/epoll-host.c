/* Millstream in a program that knows epoll alone: one descriptor to poll, and one function to call when
 * it is readable. Every client is handed over as it is accepted.
 *
 *     cc -std=c99 epoll-host.c -o epoll-host -lmillstream
 *     ./epoll-host postgresql://localhost/app 8080 */
#define _GNU_SOURCE
#include <millstream.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "listening.h"

static void watch(int epoll, int descriptor) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = descriptor}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) < 0) fail("epoll_ctl", "refused");
}

/* A descriptor that is readable when the program shall end. */
static int stop_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  /* Before millstream_create, so that every thread there may be inherits it. */
  sigprocmask(SIG_BLOCK, &signals, NULL);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

static millstream *create(const char *database) {
  static const char *const public_patterns[] = {"demo:*"};
  millstream_options options = millstream_options_init();
  millstream *streamer;
  char error[256];
  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  options.database = database;
  options.stores = MILLSTREAM_NATIVE;
  options.public_patterns = public_patterns;
  options.public_pattern_count = 1;
  if (millstream_create(&options, &streamer, error, sizeof error) != MILLSTREAM_OK)
    fail("millstream_create", error);
  if (millstream_start(streamer) != MILLSTREAM_OK) fail("millstream_start", "refused");
  return streamer;
}

static void hand_over(millstream *streamer, int port) {
  int client = accept4(port, NULL, NULL, SOCK_CLOEXEC);
  if (client < 0) return;
  if (millstream_accept(streamer, client, NULL, 0) != MILLSTREAM_OK) close(client);
}

static void stopped(void *user) {
  *(bool *)user = true;
}

int main(int count, char **arguments) {
  int epoll, signals, port, ready;
  bool is_over = false;
  struct epoll_event events[16];
  millstream *streamer;
  if (count < 2) fail("usage", "epoll-host DATABASE [PORT]");

  signals = stop_signals();
  streamer = create(arguments[1]);
  port = listening_socket(arguments[2], SOCK_NONBLOCK | SOCK_CLOEXEC);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, signals);
  watch(epoll, port);
  watch(epoll, millstream_descriptor(streamer));

  while (!is_over) {
    ready = epoll_wait(epoll, events, 16, -1);
    for (int index = 0; index < ready; index++) {
      if (events[index].data.fd == port) {
        hand_over(streamer, port);
      } else if (events[index].data.fd == signals) {
        /* Goodbyes have to be sent: the loop goes on until `stopped` is called. */
        epoll_ctl(epoll, EPOLL_CTL_DEL, signals, NULL);
        epoll_ctl(epoll, EPOLL_CTL_DEL, port, NULL);
        millstream_shutdown(streamer, 0, stopped, &is_over);
      } else {
        millstream_run(streamer);
      }
    }
  }

  millstream_destroy(streamer);
  close(epoll);
  close(port);
  close(signals);
  return 0;
}
