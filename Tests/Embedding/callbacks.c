/* Calls from within callbacks: everything may be called, but destroying has to wait. */
#include "cases.h"

static const char request[] = "GET /host/news HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n";

/* Everything but shutting down: what has no business there says so, the rest works. */
static void call_everything(world *world) {
  for (function function = START; function <= SIGN; function++) {
    millstream_result result = call(world->instance, function);
    bool is_run_or_join = function == RUN || function == JOIN;
    bool is_strange = function == SEND || function == CLOSE;
    if (world->place == AUDIENCE || world->place == FILTER) {
      /* The instance is in the middle of something. */
      CHECK(result == MILLSTREAM_BUSY || is_run_or_join);
    } else if (world->place == LOG) {
      /* A line may come at any time, also at the very end. */
      CHECK(result != MILLSTREAM_FORKED && result != MILLSTREAM_WRONG_THREAD);
    } else if (is_run_or_join) {
      CHECK(result == MILLSTREAM_BUSY || result == MILLSTREAM_INVALID_ARGUMENT);
    } else {
      check_result(
          __FILE__, __LINE__, name_of(function), is_strange ? MILLSTREAM_NOT_FOUND : MILLSTREAM_OK,
          result);
    }
  }
  EXPECT(BUSY, millstream_destroy(world->instance));
}

static void shut_down(world *world) {
  EXPECT(OK, millstream_shutdown(world->instance, 0, count_stop, world));
  EXPECT(BUSY, millstream_destroy(world->instance));
}

static bool came_to_connection(void *user, const millstream_connection *connection) {
  world *world = user;
  /* A further one was subscribed from inside; it is closed soon, not at once. */
  if (atomic_exchange(&world->has_entered, true)) return false;
  CHECK(connection->id == world->newest);
  world->inside(world);
  world->was_inside = true;
  return true;
}

/* Makes `place` be called. The instance may be shut down by what happens there. */
static void provoke(world *world, client *client, int asking) {
  millstream_message message = message_of("hello");
  switch (world->place) {
    case AUTHORIZE:
      EXPECT(OK, millstream_accept(world->instance, asking, request, sizeof request - 1));
      return;
    case AUDIENCE:
      message.visible_to = "everybody";
      EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
      break;
    case DISCONNECTED:
      shutdown(client->descriptor, SHUT_RDWR);
      break;
    case FILTER:
    case READ:
      world->last++;
      /* The client has caused it, too: the instance may have been shut down already. */
      if (!world->has_entered) {
        millstream_result result = millstream_notify(world->instance, "news");
        CHECK(result == MILLSTREAM_OK || world->has_entered);
      }
      break;
    case DRAINED:
      EXPECT(OK, millstream_drain(world->instance, 0, count_drain, world));
      break;
    case EACH:
      if (world->kind == MILLSTREAM_LOOP_THREAD) world->was_inside = true;
      else EXPECT(OK, millstream_each(world->instance, came_to_connection, world));
      break;
    default: break; /* it was called already */
  }
  close(asking);
}

static void from_callback(millstream_loop_kind kind, callback place, void (*inside)(struct world *)) {
  world world = {.inside = inside, .place = place, .last = 3};
  client *first, second;
  int asking = client_make(&second);
  world_start(&world, kind);
  first = client_subscribe(&world, "news", "1");
  /* A line of the log may come at any time, and what is called from there closes the client. */
  if (place != CONNECTED && place != POSITION && place != READ && place != FILTER && place != LOG)
    UNTIL(&world, world.opened >= 1 && client_has(first, "message 3"));
  provoke(&world, first, asking);
  /* What is logged, and when, is nobody's promise. */
  if (place == LOG) turns(&world, 20);
  else UNTIL(&world, world.was_inside);
  turns(&world, 10);
  close(second.descriptor);
  client_free(first);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  UNTIL(&world, world.stops >= 1);
  CHECK(world.opened == world.closed);
  world_end(&world);
}

static void from_all(void (*inside)(world *)) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++)
    for (callback place = AUTHORIZE; place <= EACH; place++) from_callback(kind, place, inside);
}

void case_calls_from_callbacks(void) {
  from_all(call_everything);
}

void case_shutdown_from_callbacks(void) {
  /* From where nothing may be called, it need not work. */
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++)
    for (callback place = AUTHORIZE; place <= EACH; place++)
      if (place != AUDIENCE && place != FILTER && place != LOG) from_callback(kind, place, shut_down);
}

static void destroy_world(world *world) {
  EXPECT(OK, millstream_destroy(world->instance));
  world->instance = NULL;
}

static void destroyed_in_stopped(millstream_loop_kind kind, bool is_live) {
  world world = {.inside = destroy_world, .place = STOPPED};
  client *client;
  world_start(&world, kind);
  client = client_subscribe(&world, "news", NULL);
  if (is_live) UNTIL(&world, world.opened == 1);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  UNTIL(&world, world.was_inside && client_is_over(client));
  turns(&world, 50);
  CHECK(world.stops == 1 && world.opened == world.closed);
  CHECK(!is_live || client_has(client, "pgbus:shutdown"));
  client_free(client);
  if (world.loop != NULL) ev_loop_destroy(world.loop);
}

void case_destroy_in_stopped(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++) {
    destroyed_in_stopped(kind, true);
    destroyed_in_stopped(kind, false);
  }
}

/* ------------------------------------------------------------------------------------------- Each */

static bool close_it(void *user, const millstream_connection *connection) {
  world *world = user;
  EXPECT(OK, millstream_close(world->instance, connection->id));
  millstream_close_stream(world->instance, MILLSTREAM_HOST, "news");
  return true;
}

static bool count_until_third(void *user, const millstream_connection *connection) {
  CHECK(connection->store == MILLSTREAM_HOST && strcmp(connection->stream, "news") == 0);
  return ++*(int *)user < 3;
}

void case_close_in_each(void) {
  world world = {0};
  client *clients[10];
  int seen = 0;
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  for (int index = 0; index < 10; index++) clients[index] = client_subscribe(&world, "news", NULL);
  UNTIL(&world, world.opened == 10);
  CHECK(millstream_count(world.instance) == 10);
  CHECK(millstream_count_stream(world.instance, MILLSTREAM_HOST, "news") == 10);
  CHECK(millstream_count_stream(world.instance, MILLSTREAM_HOST, "other") == 0);
  EXPECT(OK, millstream_each(world.instance, count_until_third, &seen));
  CHECK(seen == 3);
  millstream_each(world.instance, close_it, &world);
  UNTIL(&world, world.closed == 10);
  CHECK(world.reason == MILLSTREAM_REQUESTED && millstream_count(world.instance) == 0);
  for (int index = 0; index < 10; index++) client_free(clients[index]);
  world_end(&world);
}

static client *client_of(world *world, const char *member, const char *stream) {
  client *client = calloc(1, sizeof *client);
  millstream_context context = millstream_context_init();
  millstream_subscription subscription = subscription_of(client_make(client));
  context.member = member;
  subscription.context = &context;
  subscription.stream = stream;
  EXPECT(OK, millstream_subscribe(world->instance, &subscription, NULL));
  return client;
}

/* Waits until `count` have ended, and checks that this one was told so. */
static void expect_told(world *world, int count, client *client) {
  UNTIL(world, world->closed == count);
  UNTIL(world, client_is_over(client));
  CHECK(world->reason == MILLSTREAM_REQUESTED);
  CHECK(client_has(client, "event: millstream:closed\ndata: {\"reason\":\"closed\"}\n\n"));
}

/* By member, stream and connection: whoever is meant is told, and nobody else goes. */
static void close_tells(millstream_loop_kind kind) {
  world world = {0};
  world_start(&world, kind);
  client *tab = client_of(&world, "ann", "news"), *other_tab = client_of(&world, "ann", "other");
  client *bob = client_of(&world, "bob", "news");
  UNTIL(&world, world.opened == 3);
  client *left = client_of(&world, "bob", "other");
  UNTIL(&world, world.opened == 4);
  EXPECT(OK, millstream_close_member(world.instance, "ann"));
  expect_told(&world, 2, tab);
  expect_told(&world, 2, other_tab);
  EXPECT(OK, millstream_close_stream(world.instance, MILLSTREAM_HOST, "news"));
  expect_told(&world, 3, bob);
  CHECK(millstream_count(world.instance) == 1 && !client_has(left, "millstream:closed"));
  EXPECT(OK, millstream_close(world.instance, world.newest));
  expect_told(&world, 4, left);
  client_free(tab), client_free(other_tab), client_free(bob), client_free(left);
  world_end(&world);
}

void case_close_tells(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++)
    close_tells(kind);
}

/* ----------------------------------------------------------------------- From watchers of the host */

static void destroy_now(struct ev_loop *loop, ev_timer *timer, int events) {
  (void)loop, (void)events;
  destroy_world(timer->data);
}

/* In the same turn of the loop in which its clients have something to say. */
void case_destroy_in_host_timer(void) {
  for (int after = 0; after < 10; after++) {
    world world = {.last = 5};
    client *clients[5], asking;
    ev_timer timer;
    world_start(&world, MILLSTREAM_LOOP_BORROWED);
    for (int index = 0; index < 5; index++) clients[index] = client_subscribe(&world, "news", "0");
    EXPECT(OK, millstream_accept(world.instance, client_make(&asking), NULL, 0));
    turns(&world, after);
    CHECK(send(asking.descriptor, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
    for (int index = 0; index < 5; index++) shutdown(clients[index]->descriptor, SHUT_RDWR);
    ev_timer_init(&timer, destroy_now, 0., 0.);
    timer.data = &world;
    ev_timer_start(world.loop, &timer);
    UNTIL(&world, world.instance == NULL);
    turns(&world, 10);
    for (int index = 0; index < 5; index++) client_free(clients[index]);
    close(asking.descriptor);
    ev_loop_destroy(world.loop);
  }
}
