/* What every case of the hostile hosts needs: an instance on one of the three kinds of loops, a store in
 * memory, clients, and checks that end the program with the line that failed. */
#ifndef EMBEDDING_WORLD_H
#define EMBEDDING_WORLD_H

#define _GNU_SOURCE
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <millstream.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------- Checks */

/* Says what went wrong, and ends the program with status 1. */
void give_up(const char *file, int line, const char *what);
void check_result(
    const char *file, int line, const char *call, millstream_result expected, millstream_result got);

#define CHECK(condition) ((condition) ? (void)0 : give_up(__FILE__, __LINE__, #condition))
#define EXPECT(expected, call) \
  check_result(__FILE__, __LINE__, #call, MILLSTREAM_##expected, call)

/* Lets `world` go on until `condition` holds; the limit only matters on failure. */
#define UNTIL(world, condition)                                   \
  for (double until_limit = seconds_now() + LIMIT_SECONDS; !(condition); turn(world)) \
  if (seconds_now() > until_limit) give_up(__FILE__, __LINE__, "never came: " #condition)

enum { LIMIT_SECONDS = 30 };

double seconds_now(void);
int open_descriptors(void);
long resident_kilobytes(void);

/* ------------------------------------------------------------------------------------------- World */

/* What is done with a question: of the store, or whether a client may listen. */
typedef enum answering { AT_ONCE, KEEP, REFUSE } answering;

enum { KEPT = 64 };

/* The callbacks out of which a case may call. */
typedef enum callback {
  NO_CALLBACK, AUTHORIZE, AUDIENCE, CONNECTED, DISCONNECTED, FILTER, LOG, POSITION, READ, DRAINED, EACH,
  STOPPED, CALLBACKS
} callback;

typedef struct world world;
struct world {
  millstream_loop_kind kind;
  struct ev_loop *loop; /* BORROWED alone */
  millstream *instance;
  /* Every stream of the store holds "message 1" to "message N". */
  _Atomic int64_t last;
  answering position, read, authorize;
  millstream_question *positions[KEPT], *reads[KEPT];
  int position_count, read_count;
  millstream_authorization *asked[KEPT];
  atomic_int asked_count;
  atomic_int opened, closed, stops;
  atomic_int drained, left; /* drains that were completed, and those that were not */
  int left_before_stop;     /* how many of these had been told of when the instance stopped */
  millstream_connection_id newest; /* of the connection that was opened last */
  millstream_close_reason reason;  /* of the one that was closed last */
  /* Called from within the callback `place`, once, if it is set. */
  void (*inside)(world *world);
  callback place;
  atomic_bool has_entered, was_inside; /* it was called; it has returned */
};

/* Fills in options that suit most cases: the store in memory, any name public, all callbacks. */
millstream_options world_options(world *world, millstream_store *store);

/* Makes an instance from `options`, or from the usual ones if NULL, and does not start it. */
void world_make(world *world, millstream_loop_kind kind, const millstream_options *options);

/* The same with the usual options, started. */
world *world_start(world *world, millstream_loop_kind kind);

/* Destroys the instance, if there is one, and the loop. */
void world_end(world *world);

/* Lets the loop run what is ready, and waits no longer than a moment. */
void turn(world *world);
void turns(world *world, int count);

/* Counts in `stops`; for millstream_shutdown, with the world as its user. */
void count_stop(void *user);

/* Counts in `drained` or `left`; for millstream_drain, with the world as its user. */
void count_drain(void *user, bool is_complete);

/* ----------------------------------------------------------------------------------------- Clients */

typedef struct client {
  int descriptor; /* ours */
  size_t length;
  char text[1 << 16]; /* what has come, cut */
} client;

/* Makes a pair of connected sockets, and returns the server's end. */
int client_make(client *client);

/* The same, of a pipe that the client reads. */
int client_make_pipe(client *client);

/* Subscribes a new client to `stream` of the host's store with `cursor`. */
client *client_subscribe(world *world, const char *stream, const char *cursor);

/* Takes what there is, and tells whether `text` has come. */
bool client_has(client *client, const char *text);

/* Whether the server has closed, and everything was read. */
bool client_is_over(client *client);

/* Closes ours and frees it. */
void client_free(client *client);

/* A subscription of `descriptor` to the stream "news" of the host's store. */
millstream_subscription subscription_of(int descriptor);
millstream_message message_of(const char *data);

/* ------------------------------------------------------------------------------- Calling everything */

/* Everything that takes an instance and returns a result. */
typedef enum function {
  START, RUN, JOIN, ACCEPT, SUBSCRIBE, LISTEN, PUBLISH, SEND, NOTIFY, CLOSE, CLOSE_STREAM, CLOSE_MEMBER,
  EACH_CONNECTION, STATISTICS, DRAIN, SIGN, SHUTDOWN, DESTROY, FUNCTIONS
} function;

/* Calls it with arguments that are in order. */
millstream_result call(millstream *instance, function function);
const char *name_of(function function);

/* Calls all but `except` and up to it, and gives up if a result is not `expected`. */
void expect_everywhere(
    const char *file, int line, millstream *instance, function from, function to,
    millstream_result expected);
#define EXPECT_EVERYWHERE(expected, instance, from, to) \
  expect_everywhere(__FILE__, __LINE__, instance, from, to, MILLSTREAM_##expected)

#endif
