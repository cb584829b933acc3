#include "world.h"

#include <dirent.h>
#include <poll.h>
#include <time.h>

/* ------------------------------------------------------------------------------------------- Checks */

void give_up(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what);
  fflush(NULL);
  _exit(1);
}

void check_result(
    const char *file, int line, const char *call, millstream_result expected, millstream_result got) {
  char text[512];
  if (expected == got) return;
  snprintf(
      text, sizeof text, "%s: expected %d (%s), got %d (%s)", call, expected,
      millstream_result_text(expected), got, millstream_result_text(got));
  give_up(file, line, text);
}

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int open_descriptors(void) {
  DIR *directory = opendir("/proc/self/fd");
  int count = 0;
  CHECK(directory != NULL);
  while (readdir(directory) != NULL) count++;
  closedir(directory);
  return count;
}

long resident_kilobytes(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long kilobytes = -1;
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "VmRSS: %ld", &kilobytes) == 1) break;
  fclose(file);
  return kilobytes;
}

/* ---------------------------------------------------------------------------------------- Callbacks */

static void came_to(world *world, callback place) {
  if (world->inside == NULL || world->place != place || atomic_exchange(&world->has_entered, true)) return;
  world->inside(world);
  world->was_inside = true;
}

static void asked(void *user, millstream_authorization *question) {
  world *world = user;
  came_to(world, AUTHORIZE);
  if (world->authorize == KEEP && world->asked_count < KEPT) {
    world->asked[world->asked_count] = question;
    atomic_fetch_add(&world->asked_count, 1);
  } else {
    millstream_authorize(
        question, world->authorize == REFUSE ? MILLSTREAM_FORBID : MILLSTREAM_ALLOW, NULL);
  }
}

static bool may_see(void *user, const char *label, const millstream_connection *connection) {
  (void)connection;
  came_to(user, AUDIENCE);
  return strcmp(label, "everybody") == 0;
}

static void opened(void *user, const millstream_connection *connection) {
  world *world = user;
  CHECK(connection->size >= sizeof connection->size && connection->id != 0);
  world->newest = connection->id;
  atomic_fetch_add(&world->opened, 1);
  came_to(world, CONNECTED);
}

static void closed(
    void *user, const millstream_connection *connection, millstream_close_reason reason) {
  world *world = user;
  CHECK(connection->stream != NULL);
  world->reason = reason;
  atomic_fetch_add(&world->closed, 1);
  came_to(world, DISCONNECTED);
}

static millstream_verdict filtered(
    void *user, millstream_store_kind store, const char *stream, const millstream_message *message,
    millstream_message *replacement) {
  (void)store, (void)stream, (void)message, (void)replacement;
  came_to(user, FILTER);
  return MILLSTREAM_KEEP;
}

static void logged(void *user, millstream_log_level level, const char *line) {
  (void)level;
  CHECK(line != NULL);
  came_to(user, LOG);
}

static void position(void *user, millstream_question *question, const char *stream) {
  world *world = user;
  (void)stream;
  came_to(world, POSITION);
  if (world->position == KEEP && world->position_count < KEPT)
    world->positions[world->position_count++] = question;
  else if (world->position == REFUSE)
    millstream_answer_failure(question);
  else
    millstream_answer_position(question, 0, world->last);
}

static void read_messages(
    void *user, millstream_question *question, const char *stream, int64_t after, size_t limit) {
  world *world = user;
  (void)stream;
  came_to(world, READ);
  if (world->read == KEEP && world->read_count < KEPT) {
    world->reads[world->read_count++] = question;
    return;
  }
  if (world->read == REFUSE) {
    millstream_answer_failure(question);
    return;
  }
  for (int64_t id = after + 1; id <= world->last && limit > 0; id++, limit--) {
    char text[64];
    millstream_message message;
    snprintf(text, sizeof text, "message %lld", (long long)id);
    message = message_of(text);
    message.id = id;
    EXPECT(OK, millstream_answer_message(question, &message));
  }
  millstream_answer_end(question, true);
}

void count_stop(void *user) {
  world *world = user;
  world->left_before_stop = world->left;
  atomic_fetch_add(&world->stops, 1);
  came_to(world, STOPPED);
}

void count_drain(void *user, bool is_complete) {
  world *world = user;
  came_to(world, DRAINED);
  atomic_fetch_add(is_complete ? &world->drained : &world->left, 1);
}

/* ------------------------------------------------------------------------------------------- World */

static const char *const any_name[] = {"*"};
static const char *const secret[] = {"s3cret"};

millstream_options world_options(world *world, millstream_store *store) {
  millstream_options options = millstream_options_init();
  *store = millstream_store_init();
  store->position = position;
  store->read = read_messages;
  store->user = world;
  options.store = store;
  options.public_patterns = any_name;
  options.public_pattern_count = 1;
  options.secrets = secret;
  options.secret_count = 1;
  options.authorize = asked;
  options.audience = may_see;
  options.connected = opened;
  options.disconnected = closed;
  options.filter = filtered;
  options.log = logged;
  options.authorize_user = options.audience_user = options.connected_user = world;
  options.disconnected_user = options.filter_user = options.log_user = world;
  return options;
}

void world_make(world *world, millstream_loop_kind kind, const millstream_options *given) {
  millstream_store store;
  millstream_options options = given != NULL ? *given : world_options(world, &store);
  char error[256];
  world->kind = options.loop_kind = kind;
  if (kind == MILLSTREAM_LOOP_BORROWED) {
    world->loop = ev_loop_new(EVFLAG_AUTO);
    CHECK(world->loop != NULL);
  }
  options.loop = world->loop;
  if (millstream_create(&options, &world->instance, error, sizeof error) != MILLSTREAM_OK)
    give_up(__FILE__, __LINE__, error);
}

world *world_start(world *world, millstream_loop_kind kind) {
  world_make(world, kind, NULL);
  EXPECT(OK, millstream_start(world->instance));
  return world;
}

void world_end(world *world) {
  EXPECT(OK, millstream_destroy(world->instance));
  world->instance = NULL;
  if (world->loop != NULL) ev_loop_destroy(world->loop);
  world->loop = NULL;
}

void turn(world *world) {
  struct timespec moment = {0, 200000};
  if (world != NULL && world->kind == MILLSTREAM_LOOP_BORROWED) {
    if (world->loop != NULL) ev_run(world->loop, EVRUN_NOWAIT);
  } else if (world != NULL && world->kind == MILLSTREAM_LOOP_POLLED && world->instance != NULL) {
    /* As an honest host does: nothing is run unless the descriptor says so. */
    struct pollfd ready = {.fd = millstream_descriptor(world->instance), .events = POLLIN};
    if (poll(&ready, 1, 0) > 0) EXPECT(OK, millstream_run(world->instance));
  }
  nanosleep(&moment, NULL);
}

void turns(world *world, int count) {
  while (count-- > 0) turn(world);
}

/* ----------------------------------------------------------------------------------------- Clients */

int client_make(client *client) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
  client->descriptor = pair[0];
  client->length = 0;
  return pair[1];
}

int client_make_pipe(client *client) {
  int ends[2];
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  client->descriptor = ends[0];
  client->length = 0;
  return ends[1];
}

client *client_subscribe(world *world, const char *stream, const char *cursor) {
  client *client = calloc(1, sizeof *client);
  millstream_subscription subscription = subscription_of(client_make(client));
  subscription.stream = stream;
  subscription.cursor = cursor;
  EXPECT(OK, millstream_subscribe(world->instance, &subscription, NULL));
  return client;
}

/* Takes what there is; false: the server has closed. */
static bool take(client *client) {
  char bytes[4096];
  ssize_t count;
  while ((count = read(client->descriptor, bytes, sizeof bytes)) > 0) {
    size_t room = sizeof client->text - 1 - client->length;
    size_t kept = (size_t)count < room ? (size_t)count : room;
    memcpy(client->text + client->length, bytes, kept);
    client->length += kept;
    client->text[client->length] = 0;
  }
  return count < 0 && (errno == EAGAIN || errno == EINTR);
}

bool client_has(client *client, const char *text) {
  take(client);
  return memmem(client->text, client->length, text, strlen(text)) != NULL;
}

bool client_is_over(client *client) {
  return !take(client);
}

void client_free(client *client) {
  close(client->descriptor);
  free(client);
}

millstream_subscription subscription_of(int descriptor) {
  millstream_subscription subscription = millstream_subscription_init();
  subscription.descriptor = descriptor;
  subscription.store = MILLSTREAM_HOST;
  subscription.stream = "news";
  return subscription;
}

millstream_message message_of(const char *data) {
  millstream_message message = millstream_message_init();
  message.data = data;
  message.data_length = strlen(data);
  return message;
}

/* ------------------------------------------------------------------------------- Calling everything */

/* Whatever comes of a hand-over, exactly one of the two owns the descriptor. */
static millstream_result hand_over(millstream *instance, bool is_raw) {
  client *client = calloc(1, sizeof *client);
  int theirs = client_make(client);
  millstream_subscription subscription = subscription_of(theirs);
  millstream_result result = is_raw ? millstream_accept(instance, theirs, NULL, 0)
                                    : millstream_subscribe(instance, &subscription, NULL);
  if (result != MILLSTREAM_OK) {
    CHECK((fcntl(theirs, F_GETFL) & O_NONBLOCK) == 0);
    CHECK(close(theirs) == 0);
  }
  client_free(client);
  return result;
}

static bool see(void *user, const millstream_connection *connection) {
  (void)user;
  CHECK(connection->id != 0);
  return true;
}

millstream_result call(millstream *instance, function function) {
  millstream_message message = message_of("hello");
  millstream_statistics statistics = millstream_statistics_init();
  char text[256];
  switch (function) {
    case START: return millstream_start(instance);
    case RUN: return millstream_run(instance);
    case JOIN: return millstream_join(instance);
    case ACCEPT: return hand_over(instance, true);
    case SUBSCRIBE: return hand_over(instance, false);
    case LISTEN: return millstream_listen(instance, "127.0.0.1:0", text, sizeof text);
    case PUBLISH: return millstream_publish(instance, MILLSTREAM_HOST, "news", &message);
    case SEND: return millstream_send(instance, 1, &message);
    case NOTIFY: return millstream_notify(instance, "news");
    case CLOSE: return millstream_close(instance, 1);
    case CLOSE_STREAM: return millstream_close_stream(instance, MILLSTREAM_HOST, "news");
    case CLOSE_MEMBER: return millstream_close_member(instance, "ann");
    case EACH_CONNECTION: return millstream_each(instance, see, NULL);
    case STATISTICS: return millstream_get_statistics(instance, &statistics);
    case DRAIN: return millstream_drain(instance, 1, NULL, NULL);
    case SIGN: return millstream_sign(instance, "news", text, sizeof text);
    case SHUTDOWN: return millstream_shutdown(instance, 1, NULL, NULL);
    case DESTROY: return millstream_destroy(instance);
    case FUNCTIONS: break;
  }
  return MILLSTREAM_OK;
}

const char *name_of(function function) {
  static const char *const names[] = {
      "start", "run", "join", "accept", "subscribe", "listen", "publish", "send", "notify", "close",
      "close_stream", "close_member", "each", "get_statistics", "drain", "sign", "shutdown", "destroy"};
  return names[function];
}

void expect_everywhere(
    const char *file, int line, millstream *instance, function from, function to,
    millstream_result expected) {
  for (function function = from; function <= to; function++)
    check_result(file, line, name_of(function), expected, call(instance, function));
  /* These have no result: they only must not fail. */
  millstream_descriptor(instance);
  millstream_count(instance);
  millstream_count_stream(instance, MILLSTREAM_HOST, "news");
}
