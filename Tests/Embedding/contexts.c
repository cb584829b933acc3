/* What a host says of a client: what others are shown of it, and until when it may stay. */
#include "cases.h"

#include <time.h>

static const char request[] = "GET /host/news HTTP/1.1\r\nHost: x\r\n\r\n";

static void release(void *tag) {
  atomic_fetch_add((atomic_int *)tag, 1);
}

static millstream_context context_of(atomic_int *releases) {
  millstream_context context = millstream_context_init();
  context.member = "ann";
  context.tag = releases;
  context.release = release;
  return context;
}

/* A world whose host was asked whether a client may listen. */
static client *ask(world *world, millstream_loop_kind kind) {
  client *client = calloc(1, sizeof *client);
  world->authorize = KEEP;
  world_start(world, kind);
  EXPECT(
      OK, millstream_accept(world->instance, client_make(client), request, sizeof request - 1));
  UNTIL(world, world->asked_count == 1);
  return client;
}

/* ------------------------------------------------------------------------------------------ Metadata */

static const char *const wrong_metadata[] = {
    "", " ", "null", "7", "\"ann\"", "[]", "{", "{}{}", "{\"a\":}", "{\"a\":1,}", "{'a':1}",
    "{\"a\":\"\xff\"}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}",
};
static const char *const right_metadata[] = {
    "{}", " {\"name\": \"Ann\", \"tags\": [1, {\"a\": null}]}\n", "{\"name\":\"\xc3\x84nn\"}",
};
enum {
  WRONG = sizeof wrong_metadata / sizeof *wrong_metadata,
  RIGHT = sizeof right_metadata / sizeof *right_metadata,
  MOST = 2048
};

/* A JSON object of so many bytes. */
static char *object_of(size_t length) {
  char *text = malloc(length + 1);
  memset(text, 'x', length);
  memcpy(text, "{\"a\":\"", 6);
  memcpy(text + length - 2, "\"}", 3);
  return text;
}

/* Nothing has changed where it is refused: the descriptor is the host's, and so is the tag. */
static void subscribe_with(world *world, const char *metadata, millstream_result expected) {
  client client;
  atomic_int releases = 0;
  millstream_context context = context_of(&releases);
  millstream_subscription subscription = subscription_of(client_make(&client));
  context.metadata = metadata;
  subscription.context = &context;
  check_result(
      __FILE__, __LINE__, metadata, expected,
      millstream_subscribe(world->instance, &subscription, NULL));
  if (expected != MILLSTREAM_OK) {
    CHECK((fcntl(subscription.descriptor, F_GETFL) & O_NONBLOCK) == 0);
    CHECK(close(subscription.descriptor) == 0 && releases == 0);
  }
  close(client.descriptor);
  if (expected == MILLSTREAM_OK) UNTIL(world, releases == 1);
}

static void answer_with_metadata(millstream_loop_kind kind) {
  world world = {0};
  client *client = ask(&world, kind);
  atomic_int releases = 0;
  millstream_context context = context_of(&releases);
  for (int index = 0; index < WRONG; index++) {
    context.metadata = wrong_metadata[index];
    EXPECT(INVALID_TEXT, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, &context));
  }
  CHECK(releases == 0);
  /* The question is still open. */
  context.metadata = right_metadata[1];
  EXPECT(OK, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, &context));
  UNTIL(&world, client_has(client, "pgbus:connected"));
  client_free(client);
  UNTIL(&world, releases == 1);
  world_end(&world);
}

void case_metadata(void) {
  char *most = object_of(MOST), *more = object_of(MOST + 1), *much = object_of(1 << 20);
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++) {
    world world = {0};
    world_start(&world, kind);
    for (int index = 0; index < WRONG; index++)
      subscribe_with(&world, wrong_metadata[index], MILLSTREAM_INVALID_TEXT);
    for (int index = 0; index < RIGHT; index++)
      subscribe_with(&world, right_metadata[index], MILLSTREAM_OK);
    subscribe_with(&world, most, MILLSTREAM_OK);
    subscribe_with(&world, more, MILLSTREAM_INVALID_TEXT);
    subscribe_with(&world, much, MILLSTREAM_INVALID_TEXT);
    world_end(&world);
    answer_with_metadata(kind);
  }
  free(most), free(more), free(much);
}

/* ---------------------------------------------------------------------------------------------- Ends */

/* time() may be some milliseconds behind. */
static int64_t unix_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

static const char expired[] = "event: millstream:expired\ndata: {\"reason\":\"expired\"}\n\n";

/* Nobody is let in for no time at all; who stays for a while is told at the end. */
static void subscribe_until(millstream_loop_kind kind) {
  world world = {.last = 1};
  client *brief = calloc(1, sizeof *brief), *lasting = calloc(1, sizeof *lasting), late;
  atomic_int releases = 0;
  millstream_context context = context_of(&releases);
  millstream_subscription subscription = subscription_of(client_make(&late));
  const int64_t past[] = {INT64_MIN, -1, 1, unix_seconds()};
  world_start(&world, kind);
  subscription.context = &context;
  for (size_t index = 0; index < sizeof past / sizeof *past; index++) {
    context.expires_at = past[index];
    EXPECT(TOO_LATE, millstream_subscribe(world.instance, &subscription, NULL));
  }
  CHECK((fcntl(subscription.descriptor, F_GETFL) & O_NONBLOCK) == 0);
  CHECK(close(subscription.descriptor) == 0 && close(late.descriptor) == 0 && releases == 0);

  subscription.cursor = "0";
  subscription.descriptor = client_make(lasting);
  context.expires_at = INT64_MAX;
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  subscription.descriptor = client_make(brief);
  context.expires_at = unix_seconds() + 3;
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  UNTIL(&world, client_has(brief, "message 1") && client_has(lasting, "message 1"));
  UNTIL(&world, client_has(brief, expired) && client_is_over(brief));
  CHECK(unix_seconds() >= context.expires_at);
  UNTIL(&world, world.closed == 1 && releases == 1);
  CHECK(world.reason == MILLSTREAM_EXPIRED && !client_has(lasting, expired));
  client_free(brief);
  client_free(lasting);
  world_end(&world);
  CHECK(releases == 2);
}

/* An answer that lets in until a time that has passed refuses, and is an answer. */
static void answer_until(millstream_loop_kind kind, int64_t end, const char *text) {
  world world = {0};
  client *client = ask(&world, kind);
  atomic_int releases = 0;
  millstream_context context = context_of(&releases);
  context.expires_at = end;
  EXPECT(OK, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, &context));
  UNTIL(&world, client_has(client, text));
  EXPECT(NOT_FOUND, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, NULL));
  UNTIL(&world, client_is_over(client) && releases == 1);
  CHECK(world.opened == (end > 1) && millstream_count(world.instance) == 0);
  client_free(client);
  world_end(&world);
  CHECK(releases == 1);
}

void case_expires(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++) {
    subscribe_until(kind);
    answer_until(kind, -1, "HTTP/1.1 403 ");
    answer_until(kind, 1, "HTTP/1.1 403 ");
    answer_until(kind, unix_seconds() + 2, expired);
  }
}

/* ------------------------------------------------------------------------------------------ Refusals */

/* What the answers that do not let in make of a request. */
void case_refusals(void) {
  static const struct {
    millstream_permission permission;
    const char *head;
  } refusals[] = {
      {MILLSTREAM_FORBID, "HTTP/1.1 403 "},
      {MILLSTREAM_FAULT, "HTTP/1.1 500 "},
      {MILLSTREAM_UNAVAILABLE, "HTTP/1.1 503 Service Unavailable\r\n"},
  };
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++)
    for (size_t index = 0; index < sizeof refusals / sizeof *refusals; index++) {
      world world = {0};
      client *client = ask(&world, kind);
      atomic_int releases = 0;
      millstream_context context = context_of(&releases);
      EXPECT(OK, millstream_authorize(world.asked[0], refusals[index].permission, &context));
      UNTIL(&world, client_is_over(client) && releases == 1);
      CHECK(client_has(client, refusals[index].head));
      CHECK(client_has(client, "\r\nretry-after: 2\r\n") ==
            (refusals[index].permission == MILLSTREAM_UNAVAILABLE));
      CHECK(world.opened == 0);
      client_free(client);
      world_end(&world);
    }
}
