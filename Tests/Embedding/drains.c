/* Drains: to their end, of nobody, twice, and cut short in every way. */
#include "cases.h"

enum { CLIENTS = 10 };

static const char goodbye[] = "event: pgbus:shutdown\n";

/* A world with so many clients whose stream is open. */
static void start_with(world *world, millstream_loop_kind kind, client **clients, int count) {
  world_start(world, kind);
  for (int index = 0; index < count; index++) {
    clients[index] = client_subscribe(world, "news", NULL);
    UNTIL(world, client_has(clients[index], "pgbus:connected"));
  }
}

static int told(client **clients) {
  int count = 0;
  for (int index = 0; index < CLIENTS; index++) count += client_has(clients[index], goodbye);
  return count;
}

static void end_with(world *world, client **clients, int count) {
  world_end(world);
  for (int index = 0; index < count; index++) client_free(clients[index]);
}

/* One after the other, and not before their time; whoever comes afterwards is taken in. */
static void drain_to_the_end(millstream_loop_kind kind) {
  world world = {0};
  client *clients[CLIENTS + 1];
  double began = seconds_now();
  start_with(&world, kind, clients, CLIENTS);
  EXPECT(OK, millstream_drain(world.instance, 500, count_drain, &world));
  UNTIL(&world, told(clients) > 0);
  CHECK(told(clients) < CLIENTS || seconds_now() - began > 0.4);
  UNTIL(&world, world.drained == 1);
  CHECK(seconds_now() - began >= 0.45);
  UNTIL(&world, told(clients) == CLIENTS && world.closed == CLIENTS);
  CHECK(world.reason == MILLSTREAM_SHUTDOWN);
  clients[CLIENTS] = client_subscribe(&world, "news", NULL);
  UNTIL(&world, client_has(clients[CLIENTS], "pgbus:connected"));
  turns(&world, 20);
  CHECK(world.drained == 1 && world.left == 0);
  end_with(&world, clients, CLIENTS + 1);
  CHECK(world.drained == 1 && world.left == 0);
}

void case_drain(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++)
    drain_to_the_end(kind);
}

/* There is nobody to be told, or nobody who wants to know when all are. */
void case_drain_of_nobody(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++) {
    world world = {0};
    client *client;
    start_with(&world, kind, &client, 0);
    EXPECT(OK, millstream_drain(world.instance, 600000, count_drain, &world));
    UNTIL(&world, world.drained == 1);
    client = client_subscribe(&world, "news", NULL);
    UNTIL(&world, client_has(client, "pgbus:connected"));
    EXPECT(OK, millstream_drain(world.instance, 0, NULL, NULL));
    UNTIL(&world, client_has(client, goodbye) && client_is_over(client));
    EXPECT(INVALID_ARGUMENT, millstream_drain(world.instance, -1, count_drain, &world));
    EXPECT(INVALID_ARGUMENT, millstream_drain(world.instance, INT64_MIN, count_drain, &world));
    EXPECT(OK, millstream_drain(world.instance, INT64_MAX, count_drain, &world));
    UNTIL(&world, world.drained == 2);
    end_with(&world, &client, 1);
    CHECK(world.drained == 2 && world.left == 0);
  }
}

/* The second neither begins anew nor is faster, and both are told. */
void case_drain_twice(void) {
  world world = {0};
  client *clients[CLIENTS];
  double began = seconds_now();
  start_with(&world, MILLSTREAM_LOOP_BORROWED, clients, CLIENTS);
  EXPECT(OK, millstream_drain(world.instance, 300, count_drain, &world));
  EXPECT(OK, millstream_drain(world.instance, 0, count_drain, &world));
  CHECK(world.drained == 0);
  UNTIL(&world, world.drained > 0);
  CHECK(world.drained == 2 && seconds_now() - began >= 0.25);
  UNTIL(&world, told(clients) == CLIENTS);
  end_with(&world, clients, CLIENTS);
}

/* Before `stopped`, and not from within the call: the host is told that it was left. */
static void shut_down_during(millstream_loop_kind kind) {
  world world = {0};
  client *clients[CLIENTS];
  millstream_message message = message_of("still here");
  start_with(&world, kind, clients, CLIENTS);
  EXPECT(OK, millstream_drain(world.instance, 600000, count_drain, &world));
  /* The first is told at once, the second in a minute. */
  UNTIL(&world, told(clients) == 1 && world.closed == 1);
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(&world, client_has(clients[CLIENTS - 1], "still here"));
  CHECK(told(clients) == 1 && world.drained == 0 && world.left == 0);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  UNTIL(&world, world.stops == 1);
  CHECK(world.drained == 0 && world.left == 1 && world.left_before_stop == 1);
  CHECK(told(clients) == CLIENTS && world.closed == CLIENTS);
  EXPECT(STOPPED, millstream_drain(world.instance, 0, count_drain, &world));
  end_with(&world, clients, CLIENTS);
  CHECK(world.drained == 0 && world.left == 1);
}

static void destroy_fails(world *world) {
  EXPECT(BUSY, millstream_destroy(world->instance));
}

/* Once, before it returns; nothing can be destroyed twice from there. */
static void destroy_during(millstream_loop_kind kind, int turns_before) {
  world world = {.inside = destroy_fails, .place = DRAINED};
  client *clients[CLIENTS];
  start_with(&world, kind, clients, CLIENTS);
  EXPECT(OK, millstream_drain(world.instance, 600000, count_drain, &world));
  turns(&world, turns_before);
  end_with(&world, clients, CLIENTS);
  CHECK(world.left == 1 && world.drained == 0 && world.was_inside);
}

/* With a shutdown that is under way, and another that has its own callback. */
static void destroy_during_shutdown(millstream_loop_kind kind) {
  world world = {0};
  client *clients[CLIENTS];
  start_with(&world, kind, clients, CLIENTS);
  EXPECT(OK, millstream_drain(world.instance, 600000, count_drain, &world));
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  end_with(&world, clients, CLIENTS);
  CHECK(world.left == 1 && world.left_before_stop == 1 && world.stops == 1);
}

static void destroy_in_stopped(void *user) {
  world *world = user;
  EXPECT(OK, millstream_destroy(world->instance));
  world->instance = NULL;
  count_stop(world);
}

static void shut_down(world *world) {
  EXPECT(OK, millstream_shutdown(world->instance, 0, destroy_in_stopped, world));
  EXPECT(BUSY, millstream_destroy(world->instance));
}

/* What hosts do with it: the end of the drain begins the shutdown, whose end frees the instance. */
static void shut_down_in_drained(millstream_loop_kind kind) {
  world world = {.inside = shut_down, .place = DRAINED};
  client *clients[CLIENTS];
  start_with(&world, kind, clients, CLIENTS);
  EXPECT(OK, millstream_drain(world.instance, 100, count_drain, &world));
  UNTIL(&world, world.stops == 1);
  CHECK(world.drained == 1 && world.left == 0 && told(clients) == CLIENTS);
  for (int index = 0; index < CLIENTS; index++) client_free(clients[index]);
  if (world.loop != NULL) ev_loop_destroy(world.loop);
}

/* With the loop, a drain goes, too. */
static void loop_goes_first(void) {
  world world = {0};
  client *clients[CLIENTS];
  start_with(&world, MILLSTREAM_LOOP_BORROWED, clients, CLIENTS);
  EXPECT(OK, millstream_drain(world.instance, 600000, count_drain, &world));
  ev_loop_destroy(world.loop);
  world.loop = NULL;
  CHECK(world.left == 1 && world.drained == 0);
  end_with(&world, clients, CLIENTS);
  CHECK(world.left == 1 && world.drained == 0);
}

void case_drain_cut_short(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++) {
    shut_down_during(kind);
    destroy_during(kind, 0);
    destroy_during(kind, 20);
    destroy_during_shutdown(kind);
    shut_down_in_drained(kind);
  }
  loop_goes_first();
}
