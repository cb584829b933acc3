/* A server with a few threads that read requests, as many servers have: it reads and decides for itself,
 * and hands over clients of whom everything is known. Millstream has a loop and a thread of its own.
 *
 *     cc -std=c99 parsed-host.c -o parsed-host -lmillstream -lpthread
 *     MILLSTREAM_SECRET=s3cret ./parsed-host postgresql://localhost/app 8080
 *
 *     GET /events?name=SIGNED[&since=ID][&user=ann][&head=host]
 *
 * `SIGNED` is what `millstream sign NAME` prints. With `head=host` the response's head is the host's. Users
 * on a stream `room:...` are told of each other. */
#define _GNU_SOURCE
#include <errno.h>
#include <millstream.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <sys/time.h>
#include <time.h>

#include "listening.h"

enum { THREADS = 4, HEAD_BYTES = 8192, SESSION_SECONDS = 12 * 3600 };

static millstream *streamer;
static int port;

/* Who may see what, and is shown how. A real host looks in its session. */
static const char *const staff[] = {"staff", "admin"};
static const struct user {
  const char *name;
  const char *const *labels;
  size_t label_count;
  const char *metadata;
} users[] = {{"ann", staff, 2, "{\"name\":\"Ann\"}"}, {"bob", NULL, 0, "{\"name\":\"Bob\"}"}};

/* Reads up to the blank line behind the head, and ends it with a zero byte. */
static bool read_head(int client, char *head) {
  size_t length = 0;
  struct timeval patience = {.tv_sec = 5};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  while (length < HEAD_BYTES - 1) {
    ssize_t count = recv(client, head + length, HEAD_BYTES - 1 - length, 0);
    if (count <= 0) return false;
    length += (size_t)count;
    head[length] = 0;
    if (strstr(head, "\r\n\r\n") != NULL) return true;
  }
  return false;
}

static int hexadecimal(char digit) {
  const char *digits = "0123456789abcdef";
  const char *found = digit == 0 ? NULL : strchr(digits, digit | 0x20);
  return found == NULL ? -1 : (int)(found - digits);
}

/* The decoded value of a query field of the request line, or NULL. */
static const char *query_value(const char *head, const char *name, char *value, size_t size) {
  size_t name_length = strlen(name), length = 0;
  const char *end = strchr(head, '\r'), *at = strchr(head, '?');
  for (; at != NULL && at < end; at = strpbrk(at, "& \r")) {
    if (*at != '?' && *at != '&') return NULL;
    at++;
    if (strncmp(at, name, name_length) == 0 && at[name_length] == '=') break;
  }
  if (at == NULL || at >= end) return NULL;
  for (at += name_length + 1; strchr("& \r", *at) == NULL; at++) {
    if (length == size - 1) return NULL;
    if (*at == '%' && hexadecimal(at[1]) >= 0 && hexadecimal(at[2]) >= 0) {
      value[length++] = (char)(hexadecimal(at[1]) * 16 + hexadecimal(at[2]));
      at += 2;
    } else {
      value[length++] = *at;
    }
  }
  value[length] = 0;
  return value;
}

/* The value of a header field, or NULL. */
static const char *field_value(const char *head, const char *name, char *value, size_t size) {
  size_t name_length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, name, name_length) != 0 || line[2 + name_length] != ':') continue;
    line += 3 + name_length;
    line += strspn(line, " \t");
    snprintf(value, size, "%.*s", (int)strcspn(line, "\r"), line);
    return value;
  }
  return NULL;
}

static void send_text(int client, const char *text) {
  /* A client that does not take this much is gone. */
  if (send(client, text, strlen(text), MSG_NOSIGNAL) < 0) perror("send");
}

static const char *refusal(millstream_result result) {
  switch (result) {
    case MILLSTREAM_INVALID_CURSOR:
      return "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    case MILLSTREAM_NOT_SIGNED:
    case MILLSTREAM_INVALID_TEXT:
    case MILLSTREAM_INVALID_ARGUMENT:
      return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    default:
      return "HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\n"
             "connection: close\r\n\r\n";
  }
}

static const char *const event_stream_head =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    "x-served-by: parsed-host\r\nconnection: close\r\n\r\n";

static void serve(int client) {
  char head[HEAD_BYTES], name[1024], cursor[64], user_name[64], who[16];
  millstream_subscription subscription = millstream_subscription_init();
  millstream_context context = millstream_context_init();
  millstream_result result;

  if (!read_head(client, head)) {
    close(client);
    return;
  }
  if (strncmp(head, "GET /events?", 12) == 0)
    subscription.signed_name = query_value(head, "name", name, sizeof name);
  subscription.descriptor = client;
  subscription.store = MILLSTREAM_NATIVE;
  subscription.cursor = field_value(head, "last-event-id", cursor, sizeof cursor);
  if (subscription.cursor == NULL)
    subscription.cursor = query_value(head, "since", cursor, sizeof cursor);

  context.member = query_value(head, "user", user_name, sizeof user_name);
  for (size_t index = 0; context.member != NULL && index < sizeof users / sizeof *users; index++) {
    if (strcmp(users[index].name, context.member) != 0) continue;
    context.labels = users[index].labels;
    context.label_count = users[index].label_count;
    context.metadata = users[index].metadata;
    /* The browser comes back then, and is asked who it is. */
    context.expires_at = time(NULL) + SESSION_SECONDS;
  }
  subscription.context = &context;

  subscription.is_head_sent = query_value(head, "head", who, sizeof who) != NULL;
  if (subscription.is_head_sent) send_text(client, event_stream_head);

  /* From OK on the descriptor is Millstream's: not even its number may be used here. */
  result = millstream_subscribe(streamer, &subscription, NULL);
  if (result == MILLSTREAM_OK) return;
  if (!subscription.is_head_sent) send_text(client, refusal(result));
  close(client);
}

static void *serve_until_closed(void *unused) {
  for (;;) {
    int client = accept4(port, NULL, NULL, SOCK_CLOEXEC);
    if (client >= 0) serve(client);
    else if (errno != EINTR && errno != ECONNABORTED) return unused;
  }
}

static void create(const char *database, const char *secret) {
  static const char *const rooms[] = {"room:*"};
  millstream_options options = millstream_options_init();
  char error[256];
  options.loop_kind = MILLSTREAM_LOOP_THREAD;
  options.database = database;
  options.stores = MILLSTREAM_NATIVE;
  options.secrets = &secret;
  options.secret_count = 1;
  options.presence_patterns = rooms;
  options.presence_pattern_count = 1;
  if (millstream_create(&options, &streamer, error, sizeof error) != MILLSTREAM_OK)
    fail("millstream_create", error);
  if (millstream_start(streamer) != MILLSTREAM_OK) fail("millstream_start", "refused");
}

int main(int count, char **arguments) {
  pthread_t threads[THREADS];
  sigset_t signals;
  int number;
  const char *secret = getenv("MILLSTREAM_SECRET");
  if (count < 2 || secret == NULL)
    fail("usage", "MILLSTREAM_SECRET=... parsed-host DATABASE [PORT]");

  /* Blocked in every thread, and waited for in this one. */
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);

  create(arguments[1], secret);
  port = listening_socket(arguments[2], SOCK_CLOEXEC);
  for (int index = 0; index < THREADS; index++)
    if (pthread_create(&threads[index], NULL, serve_until_closed, NULL) != 0)
      fail("pthread_create", "refused");
  sigwait(&signals, &number);

  /* No thread may call an instance that is freed: first those who hand over, then what they hand to. */
  shutdown(port, SHUT_RDWR);
  for (int index = 0; index < THREADS; index++) pthread_join(threads[index], NULL);
  close(port);
  millstream_shutdown(streamer, 0, NULL, NULL);
  millstream_join(streamer);
  millstream_destroy(streamer);
  return 0;
}
