/* Millstream on a libev loop that is the host's: it has a port, a timer and pages of its own, and hands
 * every request that is not for its page over. Streams are those of Millstream's schema in Postgres
 * (`millstream install`); publish with SELECT millstream.publish('demo:feed', '<p>hello</p>').
 *
 *     cc -std=c99 libev-host.c -o libev-host -lmillstream -lev
 *     ./libev-host postgresql://localhost/app 8080 */
#define _GNU_SOURCE
#include <millstream.h>

#include "requests.h"

/* All that this program has, for its callbacks. */
struct host {
  struct requests requests; /* first, so that a pointer to it is a pointer to the host */
  struct ev_loop *loop;
  ev_timer clock;
  ev_signal interrupt, terminate;
  millstream *streamer;
  int seconds;
};

static const char *const page =
    "<!doctype html><title>Millstream</title><p>Seconds: <b></b><ul></ul><script>\n"
    "const source = new EventSource('/streams/demo:feed?since=0');\n"
    "source.addEventListener('clock', (event) =>\n"
    "  document.querySelector('b').textContent = event.data);\n"
    "source.addEventListener('turbo-stream', (event) =>\n"
    "  document.querySelector('ul').appendChild(document.createElement('li'))\n"
    "    .textContent = event.data);\n"
    "</script>\n";

/* A client has said something: the page is ours, everything else is Millstream's, which reads on where
 * we stop and answers, whatever it is. */
static bool received(struct requests *requests, int descriptor, const char *bytes, size_t length) {
  static const char ours[] = "GET / ";
  struct host *host = (struct host *)requests;
  size_t compared = length < sizeof ours - 1 ? length : sizeof ours - 1;
  millstream_result result;
  if (memcmp(bytes, ours, compared) == 0) {
    if (length < 4 || memcmp(bytes + length - 4, "\r\n\r\n", 4) != 0) return false;
    respond(descriptor, "200 OK", "text/html", page);
    return true;
  }
  result = millstream_accept(host->streamer, descriptor, bytes, length);
  if (result != MILLSTREAM_OK) {
    /* It is still ours. */
    fprintf(stderr, "hand-over: %s\n", millstream_result_text(result));
    close(descriptor);
  }
  return true;
}

/* The host's own timer, on the same loop: each second to whoever listens now, and kept nowhere. */
static void second_passed(struct ev_loop *loop, ev_timer *timer, int events) {
  struct host *host = timer->data;
  char text[16];
  millstream_message message = millstream_message_init();
  (void)loop, (void)events;
  message.event = "clock";
  message.data = text;
  message.data_length = (size_t)snprintf(text, sizeof text, "%d", ++host->seconds);
  millstream_publish(host->streamer, MILLSTREAM_NATIVE, "demo:feed", &message);
}

/* Every client has been told and closed: nothing of Millstream is left on the loop. */
static void stopped(void *user) {
  struct host *host = user;
  millstream_destroy(host->streamer);
  ev_break(host->loop, EVBREAK_ALL);
}

static void signal_received(struct ev_loop *loop, ev_signal *signal, int events) {
  struct host *host = signal->data;
  (void)events;
  ev_signal_stop(loop, &host->interrupt); /* a second one ends the program at once */
  ev_signal_stop(loop, &host->terminate);
  ev_timer_stop(loop, &host->clock);
  requests_stop(&host->requests, loop);
  millstream_shutdown(host->streamer, 0, stopped, host);
}

static void log_line(void *user, millstream_log_level level, const char *line) {
  (void)user, (void)level;
  fprintf(stderr, "%s\n", line);
}

static void start_watchers(struct host *host) {
  ev_timer_init(&host->clock, second_passed, 1., 1.);
  ev_signal_init(&host->interrupt, signal_received, SIGINT);
  ev_signal_init(&host->terminate, signal_received, SIGTERM);
  host->clock.data = host->interrupt.data = host->terminate.data = host;
  ev_timer_start(host->loop, &host->clock);
  ev_signal_start(host->loop, &host->interrupt);
  ev_signal_start(host->loop, &host->terminate);
}

int main(int count, char **arguments) {
  static const char *const public_patterns[] = {"demo:*"};
  struct host host = {.loop = EV_DEFAULT, .requests = {.received = received}};
  millstream_options options = millstream_options_init();
  char error[256];
  if (count < 2) fail("usage", "libev-host DATABASE [PORT]");

  options.loop = host.loop;
  options.database = arguments[1];
  options.stores = MILLSTREAM_NATIVE;
  options.public_patterns = public_patterns;
  options.public_pattern_count = 1;
  options.log = log_line;
  options.log_level = MILLSTREAM_LOG_INFO;
  if (millstream_create(&options, &host.streamer, error, sizeof error) != MILLSTREAM_OK)
    fail("millstream_create", error);
  if (millstream_start(host.streamer) != MILLSTREAM_OK) fail("millstream_start", "refused");

  start_watchers(&host);
  requests_start(&host.requests, host.loop, arguments[2]);
  ev_run(host.loop, 0);
  ev_loop_destroy(host.loop);
  return 0;
}
