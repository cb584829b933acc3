/* Calls too early, too late, in the wrong process and from the wrong thread; and many at once. */
#include "cases.h"

static bool is_hand_over(function function) {
  return function == ACCEPT || function == SUBSCRIBE || function == LISTEN;
}

void case_before_start(void) {
  world world = {0};
  world_make(&world, MILLSTREAM_LOOP_BORROWED, NULL);
  for (function function = ACCEPT; function <= SIGN; function++) {
    millstream_result result = call(world.instance, function);
    if (is_hand_over(function) || function == DRAIN) CHECK(result == MILLSTREAM_NOT_STARTED);
  }
  CHECK(millstream_count(world.instance) == 0);
  EXPECT(OK, millstream_start(world.instance));
  EXPECT(OK, millstream_start(world.instance));
  EXPECT(OK, call(world.instance, SUBSCRIBE));
  world_end(&world);
  /* Never started at all: there is nothing to wait for. */
  world_make(&world, MILLSTREAM_LOOP_BORROWED, NULL);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  UNTIL(&world, world.stops == 1);
  EXPECT(STOPPED, millstream_start(world.instance));
  world_end(&world);
  world_make(&world, MILLSTREAM_LOOP_THREAD, NULL);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  UNTIL(&world, world.stops == 2);
  EXPECT(OK, millstream_join(world.instance));
  world_end(&world);
  world_make(&world, MILLSTREAM_LOOP_THREAD, NULL);
  world_end(&world);
}

static void after_shutdown(millstream_loop_kind kind) {
  world world = {0};
  client *client;
  world_start(&world, kind);
  client = client_subscribe(&world, "news", NULL);
  UNTIL(&world, world.opened == 1);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  EXPECT(STOPPED, call(world.instance, ACCEPT));
  EXPECT(STOPPED, call(world.instance, SUBSCRIBE));
  EXPECT(STOPPED, call(world.instance, START));
  UNTIL(&world, world.stops == 1);
  CHECK(client_has(client, "pgbus:shutdown") && world.reason == MILLSTREAM_SHUTDOWN);
  for (function function = START; function <= SIGN; function++) {
    millstream_result result = call(world.instance, function);
    bool is_foreign = kind == MILLSTREAM_LOOP_THREAD && result == MILLSTREAM_WRONG_THREAD;
    if (function == START || function == ACCEPT || function == SUBSCRIBE || function == DRAIN)
      CHECK(result == MILLSTREAM_STOPPED);
    if (function == LISTEN) CHECK(result == MILLSTREAM_STOPPED || is_foreign);
  }
  turns(&world, 20);
  CHECK(world.opened == 1 && world.closed == 1 && world.stops == 1);
  client_free(client);
  world_end(&world);
}

void case_after_shutdown(void) {
  after_shutdown(MILLSTREAM_LOOP_BORROWED);
  after_shutdown(MILLSTREAM_LOOP_POLLED);
  after_shutdown(MILLSTREAM_LOOP_THREAD);
}

void case_shutdown_twice(void) {
  world world = {0};
  client *client;
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  client = client_subscribe(&world, "news", NULL);
  UNTIL(&world, world.opened == 1);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  EXPECT(OK, millstream_shutdown(world.instance, 0, NULL, NULL));
  CHECK(world.stops == 0);
  UNTIL(&world, world.stops == 2);
  /* All is over: it is called before this returns. */
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  CHECK(world.stops == 3);
  client_free(client);
  world_end(&world);
}

/* The loop goes first, with clients in several states. */
void case_loop_destroyed_first(void) {
  for (int after = 0; after < 5; after++) {
    world world = {.position = after % 2 == 0 ? AT_ONCE : KEEP, .authorize = KEEP};
    client *client, asking, silent;
    static const char request[] = "GET /host/news HTTP/1.1\r\nHost: x\r\n\r\n";
    world_start(&world, MILLSTREAM_LOOP_BORROWED);
    client = client_subscribe(&world, "news", NULL);
    EXPECT(OK, millstream_accept(world.instance, client_make(&silent), NULL, 0));
    EXPECT(
        OK, millstream_accept(world.instance, client_make(&asking), request, sizeof request - 1));
    turns(&world, after * 3);
    ev_loop_destroy(world.loop);
    world.loop = NULL;
    for (function function = START; function <= SIGN; function++) {
      millstream_result result = call(world.instance, function);
      if (function == START || function == DRAIN || is_hand_over(function))
        CHECK(result == MILLSTREAM_STOPPED);
    }
    EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
    world_end(&world);
    CHECK(client_is_over(client) && client_is_over(&asking) && client_is_over(&silent));
    client_free(client);
    close(asking.descriptor);
    close(silent.descriptor);
  }
}

/* ------------------------------------------------------------------------------------------- fork */

/* A child that wants an instance makes one of its own, as the workers of a forking server do. */
static void live_as_a_child(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++) {
    world world = {.last = 1};
    client *client;
    world_start(&world, kind);
    client = client_subscribe(&world, "news", "0");
    UNTIL(&world, client_has(client, "message 1"));
    client_free(client);
    world_end(&world);
  }
}

static void forked(millstream_loop_kind kind) {
  world world = {0};
  client *client;
  millstream_message message = message_of("still here");
  int status;
  pid_t child;
  world_start(&world, kind);
  client = client_subscribe(&world, "news", NULL);
  UNTIL(&world, world.opened == 1);
  child = fork();
  if (child == 0) {
    EXPECT_EVERYWHERE(FORKED, world.instance, START, DESTROY);
    CHECK(millstream_descriptor(world.instance) == -1);
    CHECK(millstream_count(world.instance) == 0);
    live_as_a_child();
    _exit(0);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(&world, client_has(client, "still here"));
  client_free(client);
  world_end(&world);
}

void case_fork(void) {
  forked(MILLSTREAM_LOOP_BORROWED);
  forked(MILLSTREAM_LOOP_POLLED);
  forked(MILLSTREAM_LOOP_THREAD);
}

/* ------------------------------------------------------------------------------------------ Threads */

static void *call_from_elsewhere(void *instance) {
  EXPECT_EVERYWHERE(WRONG_THREAD, instance, START, DESTROY);
  CHECK(millstream_count(instance) == 0);
  return NULL;
}

static void wrong_thread(millstream_loop_kind kind) {
  world world = {0};
  pthread_t thread;
  client *client;
  world_start(&world, kind);
  client = client_subscribe(&world, "news", NULL);
  CHECK(pthread_create(&thread, NULL, call_from_elsewhere, world.instance) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  UNTIL(&world, client_has(client, "pgbus:connected"));
  client_free(client);
  world_end(&world);
}

/* With a thread of its own, what is not for any thread is for that one alone. */
static void foreign_to_its_thread(void) {
  world world = {0};
  world_start(&world, MILLSTREAM_LOOP_THREAD);
  for (function function = START; function <= SIGN; function++) {
    millstream_result result;
    if (function == JOIN) continue;
    result = call(world.instance, function);
    CHECK(result == MILLSTREAM_OK || result == MILLSTREAM_WRONG_THREAD ||
          (function == RUN && result == MILLSTREAM_INVALID_ARGUMENT));
  }
  world_end(&world);
}

void case_wrong_thread(void) {
  wrong_thread(MILLSTREAM_LOOP_BORROWED);
  wrong_thread(MILLSTREAM_LOOP_POLLED);
  foreign_to_its_thread();
}

/* Two instances on one loop; the one goes, the other stays. */
void case_two_on_one_loop(void) {
  world worlds[2] = {{0}, {0}};
  client *clients[2];
  millstream_store store;
  millstream_options options;
  millstream_message message = message_of("to one");
  world_start(&worlds[0], MILLSTREAM_LOOP_BORROWED);
  options = world_options(&worlds[1], &store);
  options.loop = worlds[1].loop = worlds[0].loop;
  EXPECT(OK, millstream_create(&options, &worlds[1].instance, NULL, 0));
  EXPECT(OK, millstream_start(worlds[1].instance));
  for (int index = 0; index < 2; index++)
    clients[index] = client_subscribe(&worlds[index], "news", NULL);
  UNTIL(&worlds[0], worlds[0].opened == 1 && worlds[1].opened == 1);
  EXPECT(NOT_FOUND, millstream_close(worlds[0].instance, worlds[1].newest));
  EXPECT(OK, millstream_publish(worlds[0].instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(&worlds[0], client_has(clients[0], "to one"));
  CHECK(!client_has(clients[1], "to one"));
  EXPECT(OK, millstream_shutdown(worlds[0].instance, 0, count_stop, &worlds[0]));
  UNTIL(&worlds[0], worlds[0].stops == 1);
  EXPECT(OK, millstream_destroy(worlds[0].instance));
  EXPECT(OK, millstream_publish(worlds[1].instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(&worlds[1], client_has(clients[1], "to one"));
  CHECK(worlds[1].closed == 0);
  client_free(clients[0]);
  client_free(clients[1]);
  world_end(&worlds[1]);
}

enum { THREADS = 10, ROUNDS = 20, CLIENTS = 5 };

/* A whole life, some of it from the thread that is not the loop's if it has one of its own. */
static void *live(void *kind) {
  for (int round = 0; round < ROUNDS; round++) {
    world world = {.last = 2};
    client *clients[CLIENTS];
    millstream_message message = message_of("hello");
    world_start(&world, *(millstream_loop_kind *)kind);
    for (int index = 0; index < CLIENTS; index++) {
      clients[index] = client_subscribe(&world, "news", "0");
      UNTIL(&world, client_has(clients[index], "data: message 2\n\n"));
    }
    EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
    for (int index = 0; index < CLIENTS; index++) UNTIL(&world, client_has(clients[index], "hello"));
    if (round % 2 == 0) {
      EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
      UNTIL(&world, world.stops == 1);
      CHECK(world.opened == CLIENTS && world.closed == CLIENTS);
    }
    world_end(&world);
    for (int index = 0; index < CLIENTS; index++) client_free(clients[index]);
  }
  return NULL;
}

static void ten(millstream_loop_kind kind) {
  pthread_t threads[THREADS];
  for (int index = 0; index < THREADS; index++)
    CHECK(pthread_create(&threads[index], NULL, live, &kind) == 0);
  for (int index = 0; index < THREADS; index++) CHECK(pthread_join(threads[index], NULL) == 0);
}

void case_ten_threads(void) {
  ten(MILLSTREAM_LOOP_THREAD);
}

void case_ten_loops(void) {
  ten(MILLSTREAM_LOOP_BORROWED);
  ten(MILLSTREAM_LOOP_POLLED);
}
