/* Questions that are answered twice, never, or too late. */
#include "cases.h"

static const char request[] =
    "GET /host/news?since=2&who=a%20b HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n";

/* ------------------------------------------------------------------------------------------- Store */

/* A world of which the store was asked where the stream `news` is. */
static client *ask_position(world *world) {
  client *client;
  world->position = KEEP;
  world->last = 3;
  world_start(world, MILLSTREAM_LOOP_BORROWED);
  client = client_subscribe(world, "news", "1");
  UNTIL(world, world->position_count == 1);
  return client;
}

/* One whose store was also asked for messages. */
static client *ask_read(world *world) {
  client *client = ask_position(world);
  world->read = KEEP;
  EXPECT(OK, millstream_answer_position(world->positions[0], 0, 3));
  UNTIL(world, world->read_count == 1);
  return client;
}

static void refuse_position(millstream_question *question) {
  CHECK(millstream_answer_position(question, 0, 3) != MILLSTREAM_OK);
  CHECK(millstream_answer_absent(question) != MILLSTREAM_OK);
  CHECK(millstream_answer_failure(question) != MILLSTREAM_OK);
}

static void refuse_read(millstream_question *question) {
  millstream_message message = message_of("again");
  message.id = 4;
  CHECK(millstream_answer_message(question, &message) != MILLSTREAM_OK);
  CHECK(millstream_answer_end(question, true) != MILLSTREAM_OK);
  CHECK(millstream_answer_failure(question) != MILLSTREAM_OK);
}

void case_store_answered_twice(void) {
  world world = {0};
  client *client = ask_read(&world);
  millstream_message message = message_of("message 2");
  refuse_position(world.positions[0]);
  message.id = 2;
  EXPECT(OK, millstream_answer_message(world.reads[0], &message));
  message.data = "message 3";
  message.id = 3;
  EXPECT(OK, millstream_answer_message(world.reads[0], &message));
  EXPECT(OK, millstream_answer_end(world.reads[0], true));
  refuse_read(world.reads[0]);
  UNTIL(&world, client_has(client, "id: 3\nevent: turbo-stream\ndata: message 3\n\n"));
  CHECK(!client_has(client, "again"));
  client_free(client);
  world_end(&world);
}

void case_store_never_answered(void) {
  world world = {0};
  client *client = ask_position(&world);
  millstream_message message = message_of("other");
  turns(&world, 100);
  CHECK(world.position_count == 1);
  EXPECT(OK, millstream_publish(world.instance, MILLSTREAM_HOST, "other", &message));
  client_free(client);
  turns(&world, 10);
  world_end(&world);
}

void case_store_answered_after_shutdown(void) {
  for (int is_read = 0; is_read < 2; is_read++) {
    world world = {0};
    client *client = is_read ? ask_read(&world) : ask_position(&world);
    EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
    UNTIL(&world, world.stops == 1);
    /* It counts for nothing, and frees the question. */
    millstream_answer_failure(is_read ? world.reads[0] : world.positions[0]);
    if (is_read) refuse_read(world.reads[0]);
    else refuse_position(world.positions[0]);
    client_free(client);
    world_end(&world);
  }
}

void case_store_answered_after_destroy(void) {
  for (int is_read = 0; is_read < 2; is_read++) {
    world world = {0};
    client *client = is_read ? ask_read(&world) : ask_position(&world);
    world_end(&world);
    if (is_read) refuse_read(world.reads[0]);
    else refuse_position(world.positions[0]);
    client_free(client);
  }
}

/* Answers that do not fit the question, or each other. */
void case_store_disorder(void) {
  world world = {0};
  client *client = ask_position(&world);
  millstream_message message = message_of("message 2");
  world.read = KEEP;
  CHECK(millstream_answer_message(world.positions[0], &message) == MILLSTREAM_INVALID_ARGUMENT);
  CHECK(millstream_answer_end(world.positions[0], true) == MILLSTREAM_INVALID_ARGUMENT);
  CHECK(millstream_answer_position(world.positions[0], 0, -5) == MILLSTREAM_INVALID_ARGUMENT);
  EXPECT(OK, millstream_answer_position(world.positions[0], 0, 3));
  UNTIL(&world, world.read_count == 1);
  CHECK(millstream_answer_position(world.reads[0], 0, 3) == MILLSTREAM_INVALID_ARGUMENT);
  EXPECT(INVALID_ARGUMENT, millstream_answer_message(world.reads[0], NULL));
  message.id = 0;
  EXPECT(INVALID_ARGUMENT, millstream_answer_message(world.reads[0], &message));
  message.id = 1; /* not above what was asked for */
  EXPECT(INVALID_ARGUMENT, millstream_answer_message(world.reads[0], &message));
  message.id = 2;
  EXPECT(OK, millstream_answer_message(world.reads[0], &message));
  EXPECT(INVALID_ARGUMENT, millstream_answer_message(world.reads[0], &message));
  message.id = 3;
  EXPECT(OK, millstream_answer_message(world.reads[0], &message));
  EXPECT(OK, millstream_answer_end(world.reads[0], true));
  UNTIL(&world, client_has(client, "id: 3\n"));
  client_free(client);
  world_end(&world);
}

/* ----------------------------------------------------------------------------------- Authorization */

/* A world whose host was asked whether a client may listen to `news`. */
static client *ask_permission(world *world, int64_t head_timeout_ms) {
  client *client = calloc(1, sizeof *client);
  millstream_store store;
  millstream_options options = world_options(world, &store);
  options.head_timeout_ms = head_timeout_ms;
  world->authorize = KEEP;
  world_make(world, MILLSTREAM_LOOP_BORROWED, &options);
  EXPECT(OK, millstream_start(world->instance));
  EXPECT(
      OK, millstream_accept(world->instance, client_make(client), request, sizeof request - 1));
  UNTIL(world, world->asked_count == 1);
  return client;
}

static void look_at_question(const millstream_authorization *question) {
  CHECK(strcmp(millstream_authorization_stream(question), "news") == 0);
  CHECK(millstream_authorization_store(question) == MILLSTREAM_HOST);
  CHECK(strcmp(millstream_authorization_header(question, "cookie"), "a=b") == 0);
  CHECK(millstream_authorization_header(question, "") == NULL);
  CHECK(millstream_authorization_header(question, NULL) == NULL);
  CHECK(strcmp(millstream_authorization_query(question, "who"), "a b") == 0);
  CHECK(millstream_authorization_query(question, "nothing") == NULL);
  CHECK(millstream_authorization_query(question, NULL) == NULL);
}

void case_authorize_twice(void) {
  world world = {0};
  client *client = ask_permission(&world, 0);
  millstream_context context = millstream_context_init();
  look_at_question(world.asked[0]);
  context.size = 3;
  EXPECT(INVALID_ARGUMENT, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, &context));
  EXPECT(
      INVALID_ARGUMENT, millstream_authorize(world.asked[0], (millstream_permission)9, NULL));
  EXPECT(OK, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, NULL));
  CHECK(millstream_authorize(world.asked[0], MILLSTREAM_FORBID, NULL) != MILLSTREAM_OK);
  UNTIL(&world, world.opened == 1 && client_has(client, "pgbus:connected"));
  CHECK(millstream_authorize(world.asked[0], MILLSTREAM_FORBID, NULL) != MILLSTREAM_OK);
  client_free(client);
  world_end(&world);
}

/* The client is told something, and let go. */
void case_authorize_never(void) {
  world world = {0};
  client *client = ask_permission(&world, 100);
  UNTIL(&world, client_is_over(client));
  CHECK(client->length > 0 && !client_has(client, "HTTP/1.1 200"));
  EXPECT(NOT_FOUND, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, NULL));
  client_free(client);
  world_end(&world);
}

void case_authorize_after_client(void) {
  world world = {0};
  client *client = ask_permission(&world, 0);
  client_free(client);
  turns(&world, 20);
  EXPECT(NOT_FOUND, millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, NULL));
  turns(&world, 20);
  CHECK(world.opened == 0 && millstream_count(world.instance) == 0);
  world_end(&world);
}

void case_authorize_after_shutdown(void) {
  world world = {0};
  client *client = ask_permission(&world, 0);
  EXPECT(OK, millstream_shutdown(world.instance, 0, count_stop, &world));
  UNTIL(&world, world.stops == 1);
  CHECK(client_is_over(client));
  CHECK(millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, NULL) != MILLSTREAM_OK);
  CHECK(world.opened == 0);
  client_free(client);
  world_end(&world);
}

void case_authorize_after_destroy(void) {
  world world = {0};
  client *client = ask_permission(&world, 0);
  world_end(&world);
  CHECK(client_is_over(client));
  CHECK(millstream_authorize(world.asked[0], MILLSTREAM_ALLOW, NULL) != MILLSTREAM_OK);
  client_free(client);
}
