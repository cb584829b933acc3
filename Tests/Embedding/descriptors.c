/* Descriptors that are no clients, that are somebody else's, and clients that go. */
#include "cases.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* Both hand-overs refuse it, and leave it as it was. */
static void expect_bad(millstream *instance, int descriptor) {
  millstream_subscription subscription = subscription_of(descriptor);
  int flags = fcntl(descriptor, F_GETFL), close_on_exec = fcntl(descriptor, F_GETFD);
  EXPECT(BAD_DESCRIPTOR, millstream_subscribe(instance, &subscription, NULL));
  EXPECT(BAD_DESCRIPTOR, millstream_accept(instance, descriptor, NULL, 0));
  CHECK(flags == fcntl(descriptor, F_GETFL) && close_on_exec == fcntl(descriptor, F_GETFD));
  if (descriptor > 2) close(descriptor);
}

static int tcp_socket(bool is_listening) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(descriptor >= 0);
  if (!is_listening) return descriptor;
  CHECK(bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0);
  CHECK(listen(descriptor, 1) == 0);
  return descriptor;
}

void case_bad_descriptors(void) {
  world world = {0};
  FILE *file = tmpfile();
  int ends[2], datagrams[2], closed = dup(0);
  millstream *instance;
  CHECK(file != NULL && pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0);
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  instance = world.instance;
  close(closed);
  expect_bad(instance, -1);
  expect_bad(instance, -2147483647);
  expect_bad(instance, 2147483647);
  expect_bad(instance, closed);
  expect_bad(instance, dup(fileno(file)));
  expect_bad(instance, open("/", O_RDONLY | O_DIRECTORY));
  expect_bad(instance, open("/dev/null", O_RDWR));
  expect_bad(instance, tcp_socket(true));
  expect_bad(instance, tcp_socket(false));
  expect_bad(instance, ends[0]);
  expect_bad(instance, datagrams[0]);
  expect_bad(instance, eventfd(0, 0));
  expect_bad(instance, epoll_create1(0));
  close(ends[1]);
  close(datagrams[1]);
  fclose(file);
  turns(&world, 10);
  CHECK(millstream_count(instance) == 0);
  world_end(&world);
}

/* It is made nonblocking and close-on-exec, and a client that takes nothing stops nobody. */
void case_blocking_descriptor(void) {
  world world = {0};
  client *reading, idle;
  int theirs = client_make(&idle);
  millstream_subscription subscription = subscription_of(theirs);
  char *large = malloc(300000);
  millstream_message message = millstream_message_init();
  CHECK(fcntl(theirs, F_SETFD, 0) == 0);
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  CHECK((fcntl(theirs, F_GETFL) & O_NONBLOCK) != 0 && fcntl(theirs, F_GETFD) == FD_CLOEXEC);
  reading = client_subscribe(&world, "news", NULL);
  UNTIL(&world, world.opened == 2);
  memset(large, 'x', 300000);
  message.data = large;
  message.data_length = 300000;
  for (int count = 0; count < 4; count++) {
    EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
    turns(&world, 5);
    client_has(reading, "x");
  }
  message = message_of("the other");
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "other", &message));
  turns(&world, 10);
  free(large);
  close(idle.descriptor);
  client_free(reading);
  world_end(&world);
}

void case_descriptor_twice(void) {
  world world = {0};
  client subscribed, accepted;
  int first = client_make(&subscribed), second = client_make(&accepted);
  millstream_subscription subscription = subscription_of(first);
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  EXPECT(OK, millstream_accept(world.instance, second, NULL, 0));
  for (int count = 0; count < 2; count++) {
    EXPECT(ALREADY_TAKEN, millstream_subscribe(world.instance, &subscription, NULL));
    EXPECT(ALREADY_TAKEN, millstream_accept(world.instance, first, NULL, 0));
    EXPECT(ALREADY_TAKEN, millstream_accept(world.instance, second, NULL, 0));
    UNTIL(&world, client_has(&subscribed, "pgbus:connected"));
  }
  subscription.descriptor = second;
  EXPECT(ALREADY_TAKEN, millstream_subscribe(world.instance, &subscription, NULL));
  /* Its own descriptors are no clients either. */
  CHECK(millstream_count(world.instance) == 1);
  close(subscribed.descriptor);
  close(accepted.descriptor);
  world_end(&world);
}

/* Two descriptors of one socket are two connections: the same bytes go out twice. */
void case_duplicate_descriptor(void) {
  world world = {0};
  client client;
  int first = client_make(&client), second = dup(first);
  millstream_subscription subscription = subscription_of(first);
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  subscription.descriptor = second;
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  UNTIL(&world, world.opened == 2);
  close(client.descriptor);
  UNTIL(&world, world.closed == 2);
  world_end(&world);
}

/* The host closes what is not its own any more; others go on being served. */
void case_descriptor_closed_behind(void) {
  world world = {0};
  client gone, asking, *served;
  int subscribed, accepted;
  millstream_subscription subscription;
  millstream_message message = message_of("still here");
  subscribed = client_make(&gone);
  accepted = client_make(&asking);
  subscription = subscription_of(subscribed);
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  served = client_subscribe(&world, "news", NULL);
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  EXPECT(OK, millstream_accept(world.instance, accepted, "GET /ho", 7));
  UNTIL(&world, world.opened == 2);
  close(subscribed);
  close(accepted);
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(&world, client_has(served, "still here"));
  UNTIL(&world, world.closed == 1);
  close(gone.descriptor);
  close(asking.descriptor);
  client_free(served);
  world_end(&world);
}

/* The number of a client that has gone comes again, and is no second hand-over. */
void case_number_used_again(void) {
  world world = {0};
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  for (int count = 0; count < 100; count++) {
    client *client = client_subscribe(&world, "news", NULL);
    UNTIL(&world, world.opened == count + 1);
    client_free(client);
    UNTIL(&world, world.closed == count + 1);
    CHECK(world.reason == MILLSTREAM_CLIENT_GONE);
  }
  world_end(&world);
}

void case_full(void) {
  world world = {0};
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  client *first, second, third;
  int refused = client_make(&second), asking = client_make(&third);
  millstream_subscription subscription = subscription_of(refused);
  static const char request[] = "GET /host/news HTTP/1.1\r\nHost: x\r\n\r\n";
  options.max_connections = 1;
  world_make(&world, MILLSTREAM_LOOP_BORROWED, &options);
  EXPECT(OK, millstream_start(world.instance));
  first = client_subscribe(&world, "news", NULL);
  UNTIL(&world, world.opened == 1);
  EXPECT(FULL, millstream_subscribe(world.instance, &subscription, NULL));
  CHECK(close(refused) == 0);
  EXPECT(OK, millstream_accept(world.instance, asking, request, sizeof request - 1));
  UNTIL(&world, client_has(&third, "HTTP/1.1 503 "));
  close(second.descriptor);
  close(third.descriptor);
  client_free(first);
  UNTIL(&world, world.closed == 1);
  first = client_subscribe(&world, "news", NULL);
  client_free(first);
  world_end(&world);
}

/* ------------------------------------------------------------------------------------------- SIGPIPE */

static client *subscribe_pipe(world *world) {
  client *client = calloc(1, sizeof *client);
  millstream_subscription subscription = subscription_of(client_make_pipe(client));
  EXPECT(OK, millstream_subscribe(world->instance, &subscription, NULL));
  return client;
}

/* Readers go with bytes on their way, and what is written to them must not end the process. */
static void vanish(millstream_loop_kind kind) {
  world world = {0};
  client *clients[6];
  char *large = calloc(1, 200000);
  millstream_message message = message_of("hello");
  world_start(&world, kind);
  for (int index = 0; index < 6; index++)
    clients[index] = index % 2 == 0 ? subscribe_pipe(&world)
                                    : client_subscribe(&world, "news", NULL);
  for (int index = 0; index < 6; index++) UNTIL(&world, client_has(clients[index], "pgbus:connected"));
  /* Two go before anything is due to them, two with a full buffer, two in order at the end. */
  client_free(clients[0]);
  client_free(clients[1]);
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
  memset(large, 'x', 200000);
  message.data = large;
  message.data_length = 200000;
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
  turns(&world, 10);
  client_free(clients[2]);
  client_free(clients[3]);
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(&world, world.closed == 4);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  client_free(clients[4]);
  client_free(clients[5]);
  UNTIL(&world, world.stops == 1);
  CHECK(world.closed == 6);
  free(large);
  world_end(&world);
}

void case_clients_vanish(void) {
  vanish(MILLSTREAM_LOOP_BORROWED);
  vanish(MILLSTREAM_LOOP_POLLED);
  vanish(MILLSTREAM_LOOP_THREAD);
}

/* ------------------------------------------------------------------------------------------- Context */

static void release(void *tag) {
  atomic_fetch_add((atomic_int *)tag, 1);
}

/* Released once, whatever becomes of the client; never where the hand-over failed. */
static void context_released(millstream_loop_kind kind, int turns_before, bool is_shut_down) {
  world world = {0};
  client client;
  atomic_int count = 0;
  millstream_context context = millstream_context_init();
  millstream_subscription subscription = subscription_of(client_make(&client));
  context.tag = &count;
  context.release = release;
  subscription.context = &context;
  subscription.cursor = "soon";
  world_start(&world, kind);
  EXPECT(INVALID_CURSOR, millstream_subscribe(world.instance, &subscription, NULL));
  subscription.cursor = NULL;
  subscription.store = MILLSTREAM_PGMQ;
  EXPECT(NOT_FOUND, millstream_subscribe(world.instance, &subscription, NULL));
  CHECK(count == 0);
  subscription.store = MILLSTREAM_HOST;
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  turns(&world, turns_before);
  if (is_shut_down) {
    EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
    UNTIL(&world, world.stops == 1);
  }
  close(client.descriptor);
  turns(&world, turns_before);
  world_end(&world);
  CHECK(count == 1);
}

void case_context_released(void) {
  for (millstream_loop_kind kind = MILLSTREAM_LOOP_BORROWED; kind <= MILLSTREAM_LOOP_THREAD; kind++)
    for (int turns_before = 0; turns_before < 20; turns_before += 3) {
      context_released(kind, turns_before, false);
      context_released(kind, turns_before, true);
    }
}
