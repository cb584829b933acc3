/* Created, started and destroyed over and over, with connections in every state: nothing is left. */
#include "cases.h"

enum { STATES = 10 };

static const char request[] = "GET /host/news HTTP/1.1\r\nHost: x\r\n\r\n";

/* Brings a client into one of the states. */
static client *enter(world *world, int state) {
  client *client;
  int theirs;
  millstream_subscription subscription;
  if (state < 4) {
    static const size_t received[] = {0, 10, sizeof request - 1, sizeof request - 1};
    client = calloc(1, sizeof *client);
    theirs = client_make(client);
    EXPECT(OK, millstream_accept(world->instance, theirs, request, received[state]));
    if (state == 3) shutdown(client->descriptor, SHUT_RDWR);
    return client;
  }
  if (state < 8) {
    static const char *const cursors[] = {NULL, "0", "2-1", "99"};
    client = client_subscribe(world, state % 2 == 0 ? "news" : "other", cursors[state - 4]);
    if (state == 7) shutdown(client->descriptor, SHUT_RDWR);
    return client;
  }
  client = calloc(1, sizeof *client);
  subscription = subscription_of(state == 8 ? client_make_pipe(client) : client_make(client));
  subscription.is_head_sent = true;
  EXPECT(OK, millstream_subscribe(world->instance, &subscription, NULL));
  return client;
}

/* More than the sockets of those who do not read hold. */
static void block(world *world) {
  static char large[300000];
  millstream_message message = message_of("small");
  EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
  memset(large, 'x', sizeof large);
  message.data = large;
  message.data_length = sizeof large;
  EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
}

static void answer_kept(world *world) {
  for (int index = 0; index < world->position_count; index++)
    millstream_answer_position(world->positions[index], 0, world->last);
  for (int index = 0; index < world->asked_count; index++)
    millstream_authorize(world->asked[index], MILLSTREAM_ALLOW, NULL);
  world->position_count = world->asked_count = 0;
}

/* How it ends depends on the number of the cycle. */
static void finish(world *world, int number) {
  bool is_drained =
      number % 5 == 3 && millstream_drain(world->instance, number % 2, count_drain, world) == MILLSTREAM_OK;
  if (number % 3 == 0 && world->kind != MILLSTREAM_LOOP_THREAD) answer_kept(world);
  if (number % 4 > 0) EXPECT(OK, millstream_shutdown(world->instance, 1, count_stop, world));
  if (number % 4 > 1) turns(world, number % 3);
  if (number % 4 > 2) UNTIL(world, world->stops == 1);
  world_end(world);
  CHECK(world->drained + world->left == is_drained);
}

static void cycle(int number, const char *database) {
  static const millstream_loop_kind kinds[] = {
      MILLSTREAM_LOOP_BORROWED, MILLSTREAM_LOOP_POLLED, MILLSTREAM_LOOP_THREAD};
  millstream_loop_kind kind = kinds[number % 10 == 9 ? 2 : number % 2];
  bool may_keep = kind != MILLSTREAM_LOOP_THREAD;
  world world = {.last = number % 20 == 0 ? 700 : 20};
  client *clients[STATES];
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  if (may_keep && number % 5 == 1) world.position = KEEP;
  if (may_keep && number % 5 == 2) world.read = KEEP;
  if (may_keep && number % 3 == 1) world.authorize = KEEP;
  options.database = database;
  world_make(&world, kind, &options);
  if (number % 11 > 0) EXPECT(OK, millstream_start(world.instance));
  for (int state = 0; number % 11 > 0 && state < STATES; state++) clients[state] = enter(&world, state);
  turns(&world, number % 7);
  if (number % 30 == 5 && number % 11 > 0) block(&world);
  turns(&world, number % 3);
  finish(&world, number);
  for (int state = 0; number % 11 > 0 && state < STATES; state++) client_free(clients[state]);
}

void case_cycles(int count, const char *database) {
  int descriptors = 0, settled = count / 4 > 660 ? 660 : count / 4;
  long kilobytes = 0;
  for (int number = 0; number < count; number++) {
    if (number == settled) {
      descriptors = open_descriptors();
      kilobytes = resident_kilobytes();
    }
    cycle(number, database);
  }
  printf(
      "%d cycles: from %ld to %ld KiB, from %d to %d descriptors\n", count - settled, kilobytes,
      resident_kilobytes(), descriptors, open_descriptors());
  CHECK(descriptors == open_descriptors());
  /* Nine thousand leaks of as little as 512 bytes would be more than this. */
  CHECK(count < 1000 || resident_kilobytes() - kilobytes < 4096);
}
