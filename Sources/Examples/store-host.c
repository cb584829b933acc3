/* Millstream without Postgres: the messages are in this program's own memory. POST /host/NAME publishes
 * the body, GET /host/NAME is the stream.
 *
 *     cc -std=c99 store-host.c -o store-host -lmillstream -lev
 *     ./store-host 8080
 *     curl -N localhost:8080/host/news?since=0 &
 *     curl -d hello localhost:8080/host/news */
#define _GNU_SOURCE
#include <millstream.h>

#include "requests.h"

enum { NAME_BYTES = 64, STREAMS = 16, KEPT = 1000 };

struct message {
  char *data;
  size_t length;
};

/* The last KEPT messages: the one with the id `id` is at `id % KEPT`. */
struct stream {
  char name[NAME_BYTES];
  int64_t last;
  struct message messages[KEPT];
};

/* A question of Millstream's that is answered later. */
struct pending {
  struct pending *next;
  millstream_question *question;
  struct stream *stream;
  int64_t after;
  size_t limit;
};

struct host {
  struct requests requests; /* first, so that a pointer to it is a pointer to the host */
  struct ev_loop *loop;
  ev_signal interrupt, terminate;
  ev_timer answering;
  millstream *streamer;
  struct stream streams[STREAMS];
  struct pending *pending;
  int reads;
};

/* ----------------------------------------------------------------------------------------- The store */

static struct stream *find(struct host *host, const char *name) {
  for (int index = 0; index < STREAMS && host->streams[index].last > 0; index++)
    if (strcmp(host->streams[index].name, name) == 0) return &host->streams[index];
  return NULL;
}

/* The stream, which is made if it is new; NULL: there are too many, or its name is too long. */
static struct stream *find_or_make(struct host *host, const char *name) {
  struct stream *stream = find(host, name);
  if (stream != NULL || strlen(name) >= NAME_BYTES) return stream;
  for (int index = 0; index < STREAMS; index++) {
    stream = &host->streams[index];
    if (stream->last > 0) continue;
    strcpy(stream->name, name);
    return stream;
  }
  return NULL;
}

/* Keeps a message, and only then says that there is one. */
static bool publish(struct host *host, const char *name, const char *data, size_t length) {
  struct stream *stream = find_or_make(host, name);
  struct message *message;
  char *copy = malloc(length + 1);
  if (stream == NULL || copy == NULL) {
    free(copy);
    return false;
  }
  memcpy(copy, data, length);
  message = &stream->messages[++stream->last % KEPT];
  free(message->data);
  message->data = copy;
  message->length = length;
  millstream_notify(host->streamer, name);
  return true;
}

static int64_t first_kept(const struct stream *stream) {
  return stream->last > KEPT ? stream->last - KEPT + 1 : 1;
}

static void answer_read(
    millstream_question *question, struct stream *stream, int64_t after, size_t limit) {
  int64_t id = after < first_kept(stream) ? first_kept(stream) : after + 1;
  for (; limit > 0 && id <= stream->last; id++, limit--) {
    millstream_message message = millstream_message_init();
    message.id = id;
    message.data = stream->messages[id % KEPT].data;
    message.data_length = stream->messages[id % KEPT].length;
    millstream_answer_message(question, &message);
  }
  /* Is what the client has seen last still here? If not, it may have missed something. */
  millstream_answer_end(question, after >= first_kept(stream));
}

/* Millstream asks how far a stream goes. That is known at once. */
static void position(void *user, millstream_question *question, const char *name) {
  struct stream *stream = find(user, name);
  if (stream == NULL) millstream_answer_absent(question);
  else millstream_answer_position(question, 0, stream->last);
}

/* Millstream asks for messages. Every other answer takes a while, as if it came from a disk. */
static void read_messages(
    void *user, millstream_question *question, const char *name, int64_t after, size_t limit) {
  struct host *host = user;
  struct stream *stream = find(host, name);
  struct pending *pending;
  if (stream == NULL) {
    millstream_answer_absent(question);
  } else if (host->reads++ % 2 == 0) {
    answer_read(question, stream, after, limit);
  } else if ((pending = malloc(sizeof *pending)) == NULL) {
    millstream_answer_failure(question);
  } else {
    *pending = (struct pending){host->pending, question, stream, after, limit};
    host->pending = pending;
    ev_timer_start(host->loop, &host->answering);
  }
}

/* Answers all that waits; when the program ends, so that nothing is left. */
static void answer_pending(struct host *host) {
  while (host->pending != NULL) {
    struct pending pending = *host->pending;
    free(host->pending);
    host->pending = pending.next;
    answer_read(pending.question, pending.stream, pending.after, pending.limit);
  }
}

static void answering_is_due(struct ev_loop *loop, ev_timer *timer, int events) {
  (void)events;
  ev_timer_stop(loop, timer);
  ev_timer_set(timer, 0.02, 0.);
  answer_pending(timer->data);
}

/* ---------------------------------------------------------------------------------------- The server */

/* Answers a POST once all of it is here. */
static bool post_received(struct host *host, int descriptor, const char *bytes, size_t length) {
  char head[4097], name[NAME_BYTES];
  const char *end = memmem(bytes, length, "\r\n\r\n", 4), *field;
  size_t body_length;
  if (end == NULL) return false;
  memcpy(head, bytes, length);
  head[end - bytes + 2] = 0;
  field = strcasestr(head, "\r\ncontent-length:");
  body_length = field == NULL ? 0 : strtoul(field + 17, NULL, 10);
  if (body_length > length - (size_t)(end + 4 - bytes)) return false;
  if (sscanf(head, "POST /host/%63[^ ?/] ", name) == 1 && publish(host, name, end + 4, body_length))
    respond(descriptor, "200 OK", "text/plain", "published\n");
  else
    respond(descriptor, "404 Not Found", "text/plain", "no such stream\n");
  return true;
}

static bool received(struct requests *requests, int descriptor, const char *bytes, size_t length) {
  struct host *host = (struct host *)requests;
  if (memcmp(bytes, "POST ", length < 5 ? length : 5) == 0)
    return post_received(host, descriptor, bytes, length);
  if (millstream_accept(host->streamer, descriptor, bytes, length) != MILLSTREAM_OK)
    close(descriptor);
  return true;
}

static void stopped(void *user) {
  ev_break(((struct host *)user)->loop, EVBREAK_ALL);
}

static void signal_received(struct ev_loop *loop, ev_signal *signal, int events) {
  struct host *host = signal->data;
  (void)events;
  ev_signal_stop(loop, &host->interrupt);
  ev_signal_stop(loop, &host->terminate);
  requests_stop(&host->requests, loop);
  ev_timer_stop(loop, &host->answering);
  answer_pending(host);
  millstream_shutdown(host->streamer, 0, stopped, host);
}

static void start_watchers(struct host *host) {
  ev_timer_init(&host->answering, answering_is_due, 0.02, 0.);
  ev_signal_init(&host->interrupt, signal_received, SIGINT);
  ev_signal_init(&host->terminate, signal_received, SIGTERM);
  host->answering.data = host->interrupt.data = host->terminate.data = host;
  ev_signal_start(host->loop, &host->interrupt);
  ev_signal_start(host->loop, &host->terminate);
}

static void create(struct host *host) {
  static const char *const public_patterns[] = {"*"};
  millstream_options options = millstream_options_init();
  millstream_store store = millstream_store_init();
  char error[256];
  store.position = position;
  store.read = read_messages;
  store.user = host;
  options.loop = host->loop;
  options.store = &store;
  options.public_patterns = public_patterns;
  options.public_pattern_count = 1;
  if (millstream_create(&options, &host->streamer, error, sizeof error) != MILLSTREAM_OK)
    fail("millstream_create", error);
  if (millstream_start(host->streamer) != MILLSTREAM_OK) fail("millstream_start", "refused");
}

int main(int count, char **arguments) {
  static struct host host;
  host.requests.received = received;
  host.loop = EV_DEFAULT;
  create(&host);
  start_watchers(&host);
  requests_start(&host.requests, host.loop, count > 1 ? arguments[1] : NULL);
  ev_run(host.loop, 0);

  millstream_destroy(host.streamer);
  for (int stream = 0; stream < STREAMS; stream++)
    for (int index = 0; index < KEPT; index++) free(host.streams[stream].messages[index].data);
  ev_loop_destroy(host.loop);
  return 0;
}
