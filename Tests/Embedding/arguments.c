/* Arguments that no function takes. */
#include "cases.h"

static void null_options(void) {
  world world = {0};
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  millstream *instance = NULL;
  char error[16] = "before";
  EXPECT(INVALID_ARGUMENT, millstream_create(NULL, &instance, error, sizeof error));
  CHECK(error[0] != 0 && memchr(error, 0, sizeof error) != NULL);
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, NULL, NULL, 0));
  /* No loop; then a loop of no kind. */
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, error, sizeof error));
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, error, 1));
  CHECK(error[0] == 0);
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, error, 0));
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 100));
  options.loop_kind = (millstream_loop_kind)77;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  /* No store at all, or one without functions. */
  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  options.store = NULL;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, error, sizeof error));
  options.store = &store;
  store.read = NULL;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, error, sizeof error));
  CHECK(instance == NULL);
}

static void null_lists(void) {
  world world = {0};
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  static const char *const nothing[] = {NULL};
  millstream *instance = NULL;
  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  options.secrets = NULL;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  options.secrets = nothing;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  options.secret_count = 0;
  options.public_patterns = nothing;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  options.public_pattern_count = 0;
  options.allowed_origin_count = 3;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  options.allowed_origin_count = 0;
  options.presence_pattern_count = 1;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  options.presence_patterns = nothing;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  CHECK(instance == NULL);
}

static void null_in_subscription(world *world) {
  client client;
  int theirs = client_make(&client);
  millstream_subscription subscription = subscription_of(theirs);
  millstream_context context = millstream_context_init();
  static const char *const nothing[] = {NULL};
  EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, NULL, NULL));
  subscription.stream = NULL;
  EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, &subscription, NULL));
  /* Which of the two would count? */
  subscription.stream = subscription.signed_name = "news";
  EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, &subscription, NULL));
  subscription.signed_name = NULL;
  subscription.context = &context;
  context.label_count = 2;
  EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, &subscription, NULL));
  context.labels = nothing;
  EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, &subscription, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_accept(world->instance, theirs, NULL, 7));
  CHECK((fcntl(theirs, F_GETFL) & O_NONBLOCK) == 0);
  close(theirs);
  close(client.descriptor);
}

static void null_in_the_rest(world *world) {
  millstream_message message = message_of("hello"), empty = millstream_message_init();
  char text[64];
  millstream *instance = world->instance;
  empty.data_length = 5;
  EXPECT(INVALID_ARGUMENT, millstream_publish(instance, MILLSTREAM_HOST, NULL, &message));
  EXPECT(INVALID_ARGUMENT, millstream_publish(instance, MILLSTREAM_HOST, "news", NULL));
  EXPECT(INVALID_ARGUMENT, millstream_publish(instance, MILLSTREAM_HOST, "news", &empty));
  EXPECT(INVALID_ARGUMENT, millstream_send(instance, 1, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_notify(instance, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_close_stream(instance, MILLSTREAM_HOST, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_close_member(instance, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_each(instance, NULL, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_get_statistics(instance, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_listen(instance, NULL, text, sizeof text));
  EXPECT(INVALID_ARGUMENT, millstream_sign(instance, NULL, text, sizeof text));
  EXPECT(INVALID_ARGUMENT, millstream_sign(instance, "news", NULL, 64));
  EXPECT(INVALID_ARGUMENT, millstream_sign(instance, "news", text, 3));
  CHECK(millstream_count_stream(instance, MILLSTREAM_HOST, NULL) == 0);
}

/* A question that is none. */
static void null_questions(void) {
  millstream_message message = message_of("hello");
  EXPECT(NOT_FOUND, millstream_authorize(NULL, MILLSTREAM_ALLOW, NULL));
  millstream_authorization_store(NULL);
  CHECK(millstream_authorization_stream(NULL) == NULL);
  CHECK(millstream_authorization_header(NULL, "cookie") == NULL);
  CHECK(millstream_authorization_query(NULL, "since") == NULL);
  EXPECT(NOT_FOUND, millstream_answer_position(NULL, 0, 1));
  EXPECT(NOT_FOUND, millstream_answer_absent(NULL));
  EXPECT(NOT_FOUND, millstream_answer_message(NULL, &message));
  EXPECT(NOT_FOUND, millstream_answer_end(NULL, true));
  EXPECT(NOT_FOUND, millstream_answer_failure(NULL));
}

void case_null(void) {
  world world = {0};
  null_options();
  null_lists();
  null_questions();
  EXPECT_EVERYWHERE(INVALID_ARGUMENT, NULL, START, SHUTDOWN);
  EXPECT(OK, millstream_destroy(NULL));
  CHECK(millstream_descriptor(NULL) == -1);
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  null_in_subscription(&world);
  null_in_the_rest(&world);
  CHECK(millstream_result_text((millstream_result)-1) != NULL);
  CHECK(millstream_result_text((millstream_result)1000) != NULL);
  world_end(&world);
}

/* ------------------------------------------------------------------------------------------- Sizes */

static const size_t wrong_sizes[] = {0, 1, 7, 4096, (size_t)-1};
enum { WRONG_SIZES = sizeof wrong_sizes / sizeof *wrong_sizes };

static void wrong_sizes_of_options(void) {
  for (int index = 0; index < WRONG_SIZES; index++) {
    world world = {0};
    millstream_store store;
    millstream_options options = world_options(&world, &store);
    millstream *instance = NULL;
    options.loop_kind = MILLSTREAM_LOOP_POLLED;
    store.size = wrong_sizes[index];
    EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
    store.size = sizeof store;
    options.size = wrong_sizes[index];
    EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
    CHECK(instance == NULL);
  }
}

static void wrong_sizes_of_others(world *world) {
  for (int index = 0; index < WRONG_SIZES; index++) {
    client client;
    int theirs = client_make(&client);
    millstream_subscription subscription = subscription_of(theirs);
    millstream_context context = millstream_context_init();
    millstream_message message = message_of("hello");
    context.size = message.size = wrong_sizes[index];
    subscription.context = &context;
    EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, &subscription, NULL));
    subscription.context = NULL;
    subscription.size = wrong_sizes[index];
    EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, &subscription, NULL));
    EXPECT(
        INVALID_ARGUMENT, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
    close(theirs);
    close(client.descriptor);
  }
}

/* A program that was compiled when the struct was shorter gets no more than it has room for. */
static void shorter_statistics(world *world) {
  millstream_statistics statistics;
  memset(&statistics, 0x55, sizeof statistics);
  statistics.size = offsetof(millstream_statistics, opened);
  EXPECT(OK, millstream_get_statistics(world->instance, &statistics));
  CHECK(statistics.connections == 0 && statistics.streams == 0);
  CHECK(statistics.opened == 0x5555555555555555);
  CHECK(statistics.dropped_ephemerals == 0x5555555555555555);
  statistics.size = 0;
  EXPECT(INVALID_ARGUMENT, millstream_get_statistics(world->instance, &statistics));
}

/* The same of what it passes: what lies behind is none of the struct. */
static void shorter_options_and_context(void) {
  world world = {0};
  client *client = calloc(1, sizeof *client);
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  millstream_context context = millstream_context_init();
  millstream_subscription subscription = subscription_of(client_make(client));
  const size_t old_options = offsetof(millstream_options, presence_patterns);
  const size_t old_context = offsetof(millstream_context, metadata);
  memset((char *)&options + old_options, 0x55, sizeof options - old_options);
  memset((char *)&context + old_context, 0x99, sizeof context - old_context);
  options.size = old_options;
  context.size = old_context;
  subscription.context = &context;
  world_make(&world, MILLSTREAM_LOOP_BORROWED, &options);
  EXPECT(OK, millstream_start(world.instance));
  EXPECT(OK, millstream_subscribe(world.instance, &subscription, NULL));
  UNTIL(&world, client_has(client, "pgbus:connected"));
  turns(&world, 300);
  CHECK(world.closed == 0);
  client_free(client);
  world_end(&world);
}

void case_sizes(void) {
  world world = {0};
  wrong_sizes_of_options();
  shorter_options_and_context();
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  wrong_sizes_of_others(&world);
  shorter_statistics(&world);
  world_end(&world);
}

/* ------------------------------------------------------------------------------------------ Values */

static void odd_subscriptions(world *world) {
  static const struct {
    const char *stream, *signed_name, *cursor;
    int store;
    millstream_result expected;
  } odd[] = {
      {"news", NULL, "soon", MILLSTREAM_HOST, MILLSTREAM_INVALID_CURSOR},
      {"news", NULL, "99999999999999999999", MILLSTREAM_HOST, MILLSTREAM_INVALID_CURSOR},
      {"", NULL, NULL, MILLSTREAM_HOST, MILLSTREAM_INVALID_TEXT},
      {"\xff\xfe", NULL, NULL, MILLSTREAM_HOST, MILLSTREAM_INVALID_TEXT},
      {NULL, "news", NULL, MILLSTREAM_HOST, MILLSTREAM_NOT_SIGNED},
      {NULL, "", NULL, MILLSTREAM_HOST, MILLSTREAM_NOT_SIGNED},
      {"news", NULL, NULL, MILLSTREAM_PGMQ, MILLSTREAM_NOT_FOUND},
      {"news", NULL, NULL, MILLSTREAM_NATIVE, MILLSTREAM_NOT_FOUND},
      {"news", NULL, NULL, 0, MILLSTREAM_INVALID_ARGUMENT},
      {"news", NULL, NULL, 64, MILLSTREAM_INVALID_ARGUMENT},
      {"news", NULL, NULL, MILLSTREAM_HOST | MILLSTREAM_PGMQ, MILLSTREAM_INVALID_ARGUMENT},
  };
  for (size_t index = 0; index < sizeof odd / sizeof *odd; index++) {
    client client;
    millstream_subscription subscription = subscription_of(client_make(&client));
    char what[64];
    subscription.stream = odd[index].stream;
    subscription.signed_name = odd[index].signed_name;
    subscription.cursor = odd[index].cursor;
    subscription.store = (millstream_store_kind)odd[index].store;
    snprintf(what, sizeof what, "odd subscription %zu", index);
    check_result(
        __FILE__, __LINE__, what, odd[index].expected,
        millstream_subscribe(world->instance, &subscription, NULL));
    close(subscription.descriptor);
    close(client.descriptor);
  }
}

/* What a message may hold, and what comes of what it may not. */
static void odd_messages(world *world) {
  client *client = client_subscribe(world, "news", NULL);
  millstream_message message = message_of("one\rtwo\r\nthree\nfour");
  char *large = malloc(1 << 20);
  UNTIL(world, client_has(client, "pgbus:connected"));
  message.event = "bad\nid: 7";
  EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(world, client_has(client, "event: turbo-stream\ndata: one\ndata: two\ndata: three\ndata: four\n\n"));
  message = millstream_message_init();
  EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
  UNTIL(world, client_has(client, "\n\nevent: turbo-stream\ndata: \n\n"));
  message = message_of("everybody's");
  message.visible_to = "nobody";
  EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
  message.visible_to = "everybody";
  message.exclude = world->newest;
  EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
  memset(large, 'x', 1 << 20);
  message = millstream_message_init();
  message.data = large;
  message.data_length = 1 << 20;
  EXPECT(OK, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
  message = message_of("the last");
  EXPECT(OK, millstream_send(world->instance, world->newest, &message));
  UNTIL(world, client_has(client, "xxxx"));
  CHECK(!client_has(client, "everybody's"));
  free(large);
  client_free(client);
}

/* As the lines of a secrets file: Rails' key is bytes that no C string can hold. */
static void secrets_in_all_forms(void) {
  world world = {0};
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  static const char *const wrong[] = {"", "#comment", "hex:zz", "base64:?", "two\nlines"};
  static const char *const right[] = {"secret_key_base:testsecret123", "hex:00ff", "base64:AP8="};
  static const char expected[] =
      "ImJvYXJkOjEi--7eadb36517dd962e290a5c55daad0a9a3ae0aa9a26ae0e72b7f78ae7eb0d5a3d";
  millstream *instance = NULL;
  char signed_name[256];
  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
    options.secrets = &wrong[index];
    EXPECT(INVALID_TEXT, millstream_create(&options, &instance, NULL, 0));
  }
  options.secrets = right;
  options.secret_count = sizeof right / sizeof *right;
  EXPECT(OK, millstream_create(&options, &instance, NULL, 0));
  EXPECT(OK, millstream_sign(instance, "board:1", signed_name, sizeof signed_name));
  CHECK(strcmp(signed_name, expected) == 0);
  EXPECT(OK, millstream_destroy(instance));
}

void case_values(void) {
  world world = {0};
  client client;
  millstream_message message = message_of("hello");
  char *received = calloc(1, 60000);
  int theirs = client_make(&client);
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  EXPECT(INVALID_ARGUMENT, millstream_accept(world.instance, theirs, received, 49153));
  EXPECT(INVALID_ARGUMENT, millstream_accept(world.instance, theirs, received, (size_t)-1));
  close(theirs);
  close(client.descriptor);
  free(received);
  secrets_in_all_forms();
  odd_subscriptions(&world);
  odd_messages(&world);
  EXPECT(NOT_FOUND, millstream_send(world.instance, 0, &message));
  EXPECT(NOT_FOUND, millstream_close(world.instance, 0));
  EXPECT(INVALID_TEXT, millstream_listen(world.instance, "nowhere", NULL, 0));
  EXPECT(INVALID_TEXT, millstream_listen(world.instance, "127.0.0.1:70000", NULL, 0));
  EXPECT(SYSTEM_ERROR, millstream_listen(world.instance, "192.0.2.1:0", NULL, 0));
  world_end(&world);
}

/* ---------------------------------------------------------------------------------------- Extremes */

/* Counts that are negative where they are taken for signed. */
static void extreme_lengths(world *world) {
  client client;
  int theirs = client_make(&client);
  millstream_subscription subscription = subscription_of(theirs);
  millstream_context context = millstream_context_init();
  millstream_message message = message_of("hello");
  const char *const labels[] = {"staff"};
  EXPECT(INVALID_ARGUMENT, millstream_accept(world->instance, theirs, "GET", SIZE_MAX));
  context.labels = labels;
  context.label_count = SIZE_MAX;
  subscription.context = &context;
  EXPECT(INVALID_ARGUMENT, millstream_subscribe(world->instance, &subscription, NULL));
  message.data_length = SIZE_MAX;
  EXPECT(INVALID_ARGUMENT, millstream_publish(world->instance, MILLSTREAM_HOST, "news", &message));
  EXPECT(INVALID_ARGUMENT, millstream_shutdown(world->instance, -1, NULL, NULL));
  EXPECT(INVALID_ARGUMENT, millstream_shutdown(world->instance, INT64_MIN, NULL, NULL));
  close(theirs);
  close(client.descriptor);
}

static void extreme_counts(void) {
  world world = {0};
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  millstream *instance = NULL;
  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  options.secret_count = SIZE_MAX;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  options.secret_count = 0;
  options.public_pattern_count = SIZE_MAX;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  options.public_pattern_count = 0;
  options.presence_pattern_count = SIZE_MAX;
  EXPECT(INVALID_ARGUMENT, millstream_create(&options, &instance, NULL, 0));
  CHECK(instance == NULL);
}

/* Times at both ends: refused, or lived with. */
static void extreme_times(int64_t time) {
  world world = {.last = 2};
  millstream_store store;
  millstream_options options = world_options(&world, &store);
  millstream_result result;
  client *client;
  options.heartbeat_ms = options.idle_timeout_ms = options.write_deadline_ms = time;
  options.head_timeout_ms = options.safety_poll_ms = options.retry_ms = time;
  options.presence_grace_ms = options.hole_wait_ms = options.minimum_rate_bytes_per_second = time;
  options.max_connections = options.log_bytes = SIZE_MAX;
  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  result = millstream_create(&options, &world.instance, NULL, 0);
  if (result == MILLSTREAM_INVALID_ARGUMENT) return;
  check_result(__FILE__, __LINE__, "millstream_create", MILLSTREAM_OK, result);
  world.kind = MILLSTREAM_LOOP_POLLED;
  EXPECT(OK, millstream_start(world.instance));
  EXPECT(OK, call(world.instance, ACCEPT));
  client = client_subscribe(&world, "news", "0");
  UNTIL(&world, client_has(client, "message 2"));
  turns(&world, 20);
  EXPECT(OK, millstream_shutdown(world.instance, time > 0 ? time : 0, count_stop, &world));
  UNTIL(&world, world.stops == 1);
  client_free(client);
  world_end(&world);
}

void case_extremes(void) {
  static const int64_t times[] = {1, -1, INT64_MAX, INT64_MIN};
  world world = {0};
  extreme_counts();
  world_start(&world, MILLSTREAM_LOOP_BORROWED);
  extreme_lengths(&world);
  world_end(&world);
  for (size_t index = 0; index < sizeof times / sizeof *times; index++) extreme_times(times[index]);
}
