/* Millstream inside a C program: what an application stores in Postgres, or in a store of its own,
 * pushed to very many browsers as server-sent events, on an event loop that is already running.
 *
 * C99, and C++ from 11 on. Link with -lmillstream (pkg-config: millstream).
 *
 *     millstream_options options = millstream_options_init();
 *     options.loop = EV_DEFAULT;
 *     options.database = "postgresql://localhost/app";
 *     millstream *streamer;
 *     millstream_create(&options, &streamer, NULL, 0);
 *     millstream_start(streamer);
 *     ... accept() a client ...
 *     millstream_accept(streamer, fd, NULL, 0);          and forget it
 *
 * THREADS. An instance belongs to the thread that runs its loop; functions and callbacks run there.
 * The exception is MILLSTREAM_LOOP_THREAD: functions marked [any thread] may then be called from any
 * thread, and callbacks run on the instance's own. A function that is called from a wrong thread returns
 * MILLSTREAM_WRONG_THREAD and does nothing.
 *
 * CALLBACKS may call everything of the same instance except where MILLSTREAM_BUSY is named. They must
 * not block, not throw through C, and not longjmp. What they are given by pointer is theirs until they
 * return, except handles to be answered later. None is called after the completion of a shutdown.
 *
 * STRINGS are UTF-8 that ends with a zero byte and are copied before a function returns; NULL is none.
 *
 * RESULTS. Everything that can fail says so by its result, and has then changed nothing. A handle that was
 * freed, or is none, is found out: MILLSTREAM_INVALID_ARGUMENT of an instance, MILLSTREAM_NOT_FOUND of what
 * waits for an answer. In a child process after fork() the parent's handles give MILLSTREAM_FORKED;
 * instances that it makes itself are its own.
 *
 * STRUCTS that are passed begin with their size, which NAME_init() sets, so that a program that was
 * compiled with an older header goes on working. Fields are only ever added at the end. */
#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ev_loop;

/* For each struct NAME that a host fills in: NAME NAME_init(void), all zero but for the size. */
#define MILLSTREAM_INITIALIZER(name)      \
  static inline name name##_init(void) {  \
    name value;                           \
    memset(&value, 0, sizeof value);      \
    value.size = sizeof value;            \
    return value;                         \
  }

/* ------------------------------------------------------------------------------------------ Version */

/* The version of this header. The minor number grows with additions, the major with what breaks. */
#define MILLSTREAM_VERSION_MAJOR 0
#define MILLSTREAM_VERSION_MINOR 1
#define MILLSTREAM_VERSION_PATCH 0

/* The library's version at run time as text, such as "0.1.0"; never NULL, never freed. [any thread] */
const char *millstream_version(void);

/* The same as a number: major * 1,000,000 + minor * 1,000 + patch. [any thread] */
int32_t millstream_version_number(void);

/* ------------------------------------------------------------------------------------------- Results */

/* What became of a call. */
typedef enum millstream_result {
  MILLSTREAM_OK = 0,
  /* NULL where it is not allowed, a struct's size that is unknown, a value out of range. */
  MILLSTREAM_INVALID_ARGUMENT = 1,
  /* Text that is no stream name, no address, no connection string, no JSON object. */
  MILLSTREAM_INVALID_TEXT = 2,
  /* The cursor is neither an id nor one with an epoch. */
  MILLSTREAM_INVALID_CURSOR = 3,
  /* The signed name was signed with none of the secrets, or has expired. */
  MILLSTREAM_NOT_SIGNED = 4,
  /* Not an open descriptor of a connected socket, or of a pipe's writing end. */
  MILLSTREAM_BAD_DESCRIPTOR = 5,
  /* The descriptor is the instance's already. */
  MILLSTREAM_ALREADY_TAKEN = 6,
  /* There are as many connections as there may be. */
  MILLSTREAM_FULL = 7,
  /* The instance was not started. */
  MILLSTREAM_NOT_STARTED = 8,
  /* The instance is shutting down, has shut down, or its loop was destroyed. */
  MILLSTREAM_STOPPED = 9,
  /* There is no such connection, stream or store (any more). */
  MILLSTREAM_NOT_FOUND = 10,
  /* Not from here: from within a callback, or while the loop runs. */
  MILLSTREAM_BUSY = 11,
  /* Called from another thread than the loop's. */
  MILLSTREAM_WRONG_THREAD = 12,
  /* The handle is of the process that this one was forked from. */
  MILLSTREAM_FORKED = 13,
  /* The system refused: errno says why. */
  MILLSTREAM_SYSTEM_ERROR = 14,
  /* The end that the context gives has passed: nobody is let in to be sent away at once. */
  MILLSTREAM_TOO_LATE = 15
} millstream_result;

/* A sentence for a result; never NULL, never freed. [any thread] */
const char *millstream_result_text(millstream_result result);

/* ------------------------------------------------------------------------------------------- Handles */

/* One streamer on one loop. */
typedef struct millstream millstream;

/* A request that waits for millstream_authorize. */
typedef struct millstream_authorization millstream_authorization;

/* A question to the host's store that waits for its answer. */
typedef struct millstream_question millstream_question;

/* The name of one connection: random, never 0, not used twice. On the wire it is 16 hexadecimal digits. */
typedef uint64_t millstream_connection_id;

/* Where the messages of a stream are kept. The values can be added up to a set. */
typedef enum millstream_store_kind {
  MILLSTREAM_PGMQ = 1,   /* PGMQ queues, as pgbus uses them */
  MILLSTREAM_NATIVE = 2, /* Millstream's own schema (`millstream install`) */
  MILLSTREAM_HOST = 4    /* the host's own: millstream_store */
} millstream_store_kind;

/* Why a connection ended. */
typedef enum millstream_close_reason {
  MILLSTREAM_CLIENT_GONE = 0,    /* the client closed it, or the network did */
  MILLSTREAM_WRITE_DEADLINE = 1, /* it took nothing for longer than write_deadline_ms */
  MILLSTREAM_IDLE = 2,           /* no broadcast for longer than idle_timeout_ms */
  MILLSTREAM_OVERTAKEN = 3,      /* it was so far behind that what was due could not be kept */
  MILLSTREAM_SHUTDOWN = 4,       /* the instance was shut down */
  MILLSTREAM_REQUESTED = 5,      /* the host closed it, or the application (millstream.close) */
  MILLSTREAM_TOO_SLOW = 6,       /* less than minimum_rate_bytes_per_second, over write_deadline_ms */
  MILLSTREAM_TIMED_OUT = 7,      /* the kernel gave it up */
  MILLSTREAM_EXPIRED = 8         /* what let it in has expired */
} millstream_close_reason;

/* --------------------------------------------------------------------------------------- Connections */

/* What the host knows of a client; everything may be NULL. */
typedef struct millstream_context {
  size_t size;
  /* Who it is: connections of the same member can be closed together. */
  const char *member;
  /* The labels that it may see (`visible_to`), where there is no audience callback. */
  const char *const *labels;
  size_t label_count;
  /* The host's own, given back with the connection. Millstream never touches what it points to. */
  void *tag;
  /* Called once with `tag` when the instance has no more use for it: after `disconnected`, or because the
   * client had gone before it was connected. Not if the call that was given the context has failed. It
   * cannot call the instance. NULL: nobody has to be told. */
  void (*release)(void *tag);
  /* What others are shown of the member where `presence_patterns` fit: a JSON object of at most 2,048 bytes,
   * without \u0000 in it. What is anything else is MILLSTREAM_INVALID_TEXT. NULL: {}. */
  const char *metadata;
  /* When the connection is closed, after the event `millstream:expired`, in seconds since 1970; 0: never. If
   * that has passed, nobody is let in: millstream_subscribe returns MILLSTREAM_TOO_LATE, and to
   * millstream_authorize it is MILLSTREAM_FORBID. */
  int64_t expires_at;
} millstream_context;
MILLSTREAM_INITIALIZER(millstream_context)

/* A connection, as callbacks and millstream_each show it: borrowed for the call. */
typedef struct millstream_connection {
  size_t size;
  millstream_connection_id id;
  millstream_store_kind store;
  const char *stream;
  const char *member; /* NULL: none was given */
  void *tag;
  /* Its socket is full: it waits until the client takes something. */
  bool is_blocked;
} millstream_connection;

/* ------------------------------------------------------------------------------------------ Messages */

/* A message: the bytes are borrowed for the call that hands it over. */
typedef struct millstream_message {
  size_t size;
  /* Its place in the stream, from 1; 0: ephemeral, kept nowhere. */
  int64_t id;
  /* The name of the event; NULL: `turbo-stream`. */
  const char *event;
  /* The payload, any text. Lines may end with CR, LF or both. */
  const void *data;
  size_t data_length;
  /* The label that a client's context has to carry; NULL: everybody. */
  const char *visible_to;
  /* The connection that does not get it; 0: none. */
  millstream_connection_id exclude;
} millstream_message;
MILLSTREAM_INITIALIZER(millstream_message)

/* ----------------------------------------------------------------------------------------- Callbacks */

/* Asks whether a client may listen to a stream whose name is in order. Called for raw descriptors and
 * for connections that millstream_listen accepted. Answer with millstream_authorize, from within the
 * callback or later; until then the client waits, no longer than head_timeout_ms: then it is told to come again
 * (503). The accessors below can be used until the answer. Patterns of streams that are no more than public are
 * refused without asking. */
typedef void (*millstream_authorize_callback)(void *user, millstream_authorization *question);

/* Whether a connection may see what carries `label`. Called for frames with `visible_to` alone, each
 * time such a frame is due. It cannot call the instance: MILLSTREAM_BUSY. */
typedef bool (*millstream_audience_callback)(
    void *user, const char *label, const millstream_connection *connection);

/* The opening is on its way to the client: from now on millstream_send and millstream_close know it. */
typedef void (*millstream_connected_callback)(
    void *user, const millstream_connection *connection);

/* A connection for which `connected` was called has ended; its descriptor is about to be closed. */
typedef void (*millstream_disconnected_callback)(
    void *user, const millstream_connection *connection, millstream_close_reason reason);

/* How much a line of the log matters. */
typedef enum millstream_log_level {
  MILLSTREAM_LOG_DEBUG = 0,
  MILLSTREAM_LOG_INFO = 1,
  MILLSTREAM_LOG_WARNING = 2,
  MILLSTREAM_LOG_ERROR = 3
} millstream_log_level;

/* A line of the log, without a line end. Without this callback nothing is logged. */
typedef void (*millstream_log_callback)(void *user, millstream_log_level level, const char *line);

/* What a filter makes of a message. */
typedef enum millstream_verdict {
  MILLSTREAM_KEEP = 0,
  MILLSTREAM_DROP = 1,   /* nobody gets it; its place in the order counts as delivered */
  MILLSTREAM_REPLACE = 2 /* `replacement` goes out in its stead, under the same id */
} millstream_verdict;

/* Looks at each message of a stream once when it comes in, and again when it is read for a client that
 * is behind: the same message has to get the same verdict. `replacement` is a copy of `message` to be
 * changed (its id counts for nothing); what it points to has to stay until the filter is called again or
 * the loop goes on. It cannot call the instance: MILLSTREAM_BUSY. */
typedef millstream_verdict (*millstream_filter_callback)(
    void *user, millstream_store_kind store, const char *stream, const millstream_message *message,
    millstream_message *replacement);

/* A drain is over: everybody was told, or the instance was shut down or destroyed before. */
typedef void (*millstream_drained_callback)(void *user, bool is_complete);

/* A shutdown is complete: every connection was closed. The last callback that an instance makes;
 * millstream_destroy may be called from within it. */
typedef void (*millstream_stopped_callback)(void *user);

/* -------------------------------------------------------------------------------- The host's own store */

/* Where messages are that are not in Postgres. Ids of a stream begin with 1 and only grow; an id that
 * was visible stays what it is. Each question has to be answered once, now or later [any thread, if the
 * loop is the instance's own]; one that is never answered keeps that stream waiting. */
typedef struct millstream_store {
  size_t size;
  /* How far does the stream go? Answer with millstream_answer_position, _absent or _failure. */
  void (*position)(void *user, millstream_question *question, const char *stream);
  /* The first `limit` messages above the id `after`, in order: millstream_answer_message for each, then
   * millstream_answer_end; or _failure. Fewer than `limit` means: that is all there is. */
  void (*read)(
      void *user, millstream_question *question, const char *stream, int64_t after, size_t limit);
  void *user;
} millstream_store;
MILLSTREAM_INITIALIZER(millstream_store)

/* The stream's newest message has the id `last` (0: there is none yet). `epoch` tells this stream from an
 * earlier one of the same name; 0: the store has no such thing. Frees the question. */
millstream_result millstream_answer_position(
    millstream_question *question, uint32_t epoch, int64_t last);

/* There is no such stream (yet). Frees the question. */
millstream_result millstream_answer_absent(millstream_question *question);

/* One message of a read. MILLSTREAM_INVALID_ARGUMENT: its id is not above the one before, or it is one more
 * than was asked for; it is left out, and the question stays open. */
millstream_result millstream_answer_message(
    millstream_question *question, const millstream_message *message);

/* The read is complete. `has_before`: a message at or below `after` still exists; if not, a client is
 * told that what it may have missed is gone. Frees the question. */
millstream_result millstream_answer_end(millstream_question *question, bool has_before);

/* It cannot be said; it will be asked again within safety_poll_ms, or after a millstream_notify. Frees the
 * question. */
millstream_result millstream_answer_failure(millstream_question *question);

/* ------------------------------------------------------------------------------------------- Options */

/* Whose loop the instance runs on. */
typedef enum millstream_loop_kind {
  /* `options.loop`, which the host runs, and destroys after the instance. */
  MILLSTREAM_LOOP_BORROWED = 0,
  /* The host polls one descriptor: millstream_descriptor and millstream_run. */
  MILLSTREAM_LOOP_POLLED = 1,
  /* A loop of its own in a thread of its own. */
  MILLSTREAM_LOOP_THREAD = 2
} millstream_loop_kind;

/* What an instance has to know. Times are milliseconds, and negative only where it is said what
 * that means; what is 0 or NULL after millstream_options_init() stands for the default that is named. */
typedef struct millstream_options {
  size_t size;

  millstream_loop_kind loop_kind;
  struct ev_loop *loop; /* BORROWED only; has to outlive the instance */

  /* Postgres: a libpq connection string or URL; NULL: no Postgres, only the host's store. */
  const char *database;
  const char *listen_database; /* the LISTEN session's, past a pooler; NULL: as `database` */
  unsigned stores;             /* MILLSTREAM_PGMQ | MILLSTREAM_NATIVE; 0: both */
  const char *queue_prefix;    /* NULL: "pgbus" */
  const millstream_store *store; /* the host's own; NULL: none. Copied. */

  int64_t heartbeat_ms;      /* 0: 15,000 */
  int64_t idle_timeout_ms;   /* 0: one hour; negative: never */
  int64_t write_deadline_ms; /* 0: 5,000 */
  int64_t head_timeout_ms;   /* 0: 10,000 */
  int64_t safety_poll_ms;    /* 0: 5,000; negative: never */
  int64_t retry_ms;          /* 0: 2,000 */
  size_t max_connections;    /* 0: 10,000 */
  size_t log_bytes;          /* frames kept in memory for each stream; 0: 256 KiB */

  /* For raw descriptors and millstream_listen: the paths of the stores' streams, whose last component is
   * a signed name, or a name that a public pattern allows. */
  const char *pgmq_prefix;   /* NULL: "/pgbus/streams" */
  const char *native_prefix; /* NULL: "/streams" */
  const char *host_prefix;   /* NULL: "/host" */
  /* Signed names are checked against all; the first signs. Each is the secret itself, or `hex:` or `base64:`
   * and its bytes, or `secret_key_base:` and that of a Rails application. */
  const char *const *secrets;
  size_t secret_count;
  const char *const *public_patterns; /* such as "demo:*" */
  size_t public_pattern_count;
  const char *const *allowed_origins; /* origins whose pages may read (CORS) */
  size_t allowed_origin_count;

  /* Callbacks, each with its user pointer; NULL: none. Without `authorize` a signature is enough. */
  millstream_authorize_callback authorize;
  void *authorize_user;
  millstream_audience_callback audience;
  void *audience_user;
  millstream_connected_callback connected;
  void *connected_user;
  millstream_disconnected_callback disconnected;
  void *disconnected_user;
  millstream_filter_callback filter;
  void *filter_user;
  millstream_log_callback log;
  void *log_user;
  millstream_log_level log_level; /* the least that is logged; 0: MILLSTREAM_LOG_DEBUG, everything */

  /* Streams in Postgres that tell those who are on them who else is, such as "room:*": members are those
   * whose context names one. Needs pgbus's table of members, or the native schema, and one session more. */
  const char *const *presence_patterns;
  size_t presence_pattern_count;
  int64_t presence_grace_ms; /* who is back within that has never left; 0: 5,000; negative: none */
  /* Where ids become visible out of order (PGMQ), messages wait so long at most for an open transaction that
   * may commit one below them; 0: 10,000; negative: not at all */
  int64_t hole_wait_ms;
  /* What a client that is behind has to take, over write_deadline_ms; 0: 64; negative: anything will do */
  int64_t minimum_rate_bytes_per_second;
  /* Rows for pgbus's dashboard, of its streams, are written to pgbus_stream_stats, on that same session. */
  bool writes_statistics;
} millstream_options;

MILLSTREAM_INITIALIZER(millstream_options)

/* ----------------------------------------------------------------------------------------- Lifecycle */

/* Makes an instance, which does nothing before millstream_start. The options, and all that they point
 * to, are copied. `error`, if it is not NULL, gets a sentence that says what is wrong, cut to
 * `error_size` bytes; empty if nothing is. The instance is the host's: millstream_destroy.
 *
 * INVALID_ARGUMENT: NULL, no loop, no store, a negative time. INVALID_TEXT: a connection string, an empty
 * secret. SYSTEM_ERROR: no loop could be made, as without /proc where it is POLLED. [any thread, which
 * becomes the loop's if it is BORROWED or POLLED] */
millstream_result millstream_create(
    const millstream_options *options, millstream **instance, char *error, size_t error_size);

/* Starts sessions, timers and, with MILLSTREAM_LOOP_THREAD, the thread. A second call changes nothing.
 * STOPPED; SYSTEM_ERROR: no thread could be made. [any thread] */
millstream_result millstream_start(millstream *instance);

/* Tells every client, closes every connection and every session, and then calls `stopped`, on the loop.
 * Returns at once. Who has not taken all after `within_ms` (0: write_deadline_ms) is cut off. A further
 * call only adds its callback; where all is over already, it is called before this returns. `stopped`
 * may be NULL. [any thread] */
millstream_result millstream_shutdown(
    millstream *instance, int64_t within_ms, millstream_stopped_callback stopped, void *user);

/* Says goodbye to the connections one after the other, evenly over `over_ms` (0: at once), so that they do
 * not all come back somewhere else together. Returns at once; everything goes on for those who are still
 * there, and whoever comes meanwhile is taken in as ever. Afterwards, or earlier, call millstream_shutdown,
 * which tells those who are left.
 *
 * `drained` (may be NULL) is called once, on the loop, when everybody was told or there was nobody, and
 * may call millstream_shutdown. Where the instance is shut down before, that is when all is closed, ahead of
 * `stopped`; where it is destroyed, before that returns. A further call meanwhile only adds its callback.
 *
 * INVALID_ARGUMENT: a negative time. NOT_STARTED, STOPPED. [any thread] */
millstream_result millstream_drain(
    millstream *instance, int64_t over_ms, millstream_drained_callback drained, void *user);

/* Waits until the thread of a MILLSTREAM_LOOP_THREAD instance has ended after a shutdown. INVALID_ARGUMENT:
 * it has none, or is not shutting down. NOT_STARTED. BUSY: called on that thread. [any thread] */
millstream_result millstream_join(millstream *instance);

/* Frees the instance. One that has not shut down closes its connections without a word; with a thread,
 * it waits for that. The handle is invalid afterwards. NULL: nothing happens. BUSY: from within a
 * callback other than `stopped`, and nothing was freed. [any thread] */
millstream_result millstream_destroy(millstream *instance);

/* MILLSTREAM_LOOP_POLLED: is readable, level-triggered, for as long as millstream_run has something to do,
 * timers included. It is the instance's: never read, change or close it, and stop polling it before
 * millstream_destroy. -1: the instance is of another kind. */
int millstream_descriptor(millstream *instance);

/* MILLSTREAM_LOOP_POLLED: does what is due and returns without waiting. INVALID_ARGUMENT: the instance is
 * of another kind. BUSY: from within a callback. */
millstream_result millstream_run(millstream *instance);

/* ----------------------------------------------------------------------------------------- Hand-over */

/* Hands over a client that was just accepted: Millstream reads its request and answers it, whatever it
 * is. `received`: bytes that were read already (NULL, 0: none). The descriptor is made nonblocking and
 * close-on-exec, and is the instance's from MILLSTREAM_OK on, and only then.
 *
 * BAD_DESCRIPTOR, ALREADY_TAKEN, NOT_STARTED, STOPPED; FULL: too many requests are on their way in (with
 * max_connections reached, the client gets 503); INVALID_ARGUMENT: more than 48 KiB received. With a thread
 * of its own, an instance that is FULL or stops meanwhile closes it. [any thread] */
millstream_result millstream_accept(
    millstream *instance, int descriptor, const void *received, size_t received_length);

/* A client whose request the host has read. */
typedef struct millstream_subscription {
  size_t size;
  /* A connected stream socket, or the writing end of a pipe. */
  int descriptor;
  millstream_store_kind store;
  /* One of the two: the name of a stream that the client may listen to, or a signed name. */
  const char *stream;
  const char *signed_name;
  /* Last-Event-ID or `since` as it came; NULL or blank: from now on. */
  const char *cursor;
  /* The host has sent the response's head. If not, Millstream sends one. */
  bool is_head_sent;
  const millstream_context *context; /* NULL: none */
} millstream_subscription;
MILLSTREAM_INITIALIZER(millstream_subscription)

/* Hands over a client whose request the host has read. Ownership as with millstream_accept. What the
 * client sent after its request's head needs not be kept: an event stream's client has nothing to say.
 * `id`, if it is not NULL, gets the connection's name; 0 where it is handed on to another thread.
 *
 * BAD_DESCRIPTOR, ALREADY_TAKEN, FULL, NOT_STARTED, STOPPED, INVALID_TEXT, INVALID_CURSOR, NOT_SIGNED,
 * TOO_LATE; NOT_FOUND: the instance does not serve that store. [any thread; what is FULL there is closed
 * later, and what is ALREADY_TAKEN left alone] */
millstream_result millstream_subscribe(
    millstream *instance, const millstream_subscription *subscription,
    millstream_connection_id *id);

/* Accepts clients itself, at "127.0.0.1:8080", "[::1]:0" or "unix:/path". `bound`, if it is not NULL,
 * gets the address with the port that it has got, cut to `bound_size` bytes.
 * INVALID_TEXT; SYSTEM_ERROR: the address cannot be had; NOT_STARTED, STOPPED. A host name is looked up
 * before this returns. [any thread] */
millstream_result millstream_listen(
    millstream *instance, const char *address, char *bound, size_t bound_size);

/* ------------------------------------------------------------------------------------- Authorization */

/* The answer to a millstream_authorize_callback. */
typedef enum millstream_permission {
  MILLSTREAM_ALLOW = 0,
  MILLSTREAM_FORBID = 1, /* the client gets 403 */
  MILLSTREAM_FAULT = 2,  /* the client gets 500 */
  MILLSTREAM_UNAVAILABLE = 3 /* it cannot be said now: the client gets 503, and when to come again */
} millstream_permission;

/* Answers, once, and frees the question. `context` (NULL: none) is the connection's if it is allowed.
 * INVALID_ARGUMENT, INVALID_TEXT: of the permission or the context; the question stays open. NOT_FOUND: the
 * client has gone meanwhile, or waited too long; the question is freed. [any thread; there
 * NOT_FOUND cannot be said] */
millstream_result millstream_authorize(
    millstream_authorization *question, millstream_permission permission,
    const millstream_context *context);

/* The stream that is asked for. What these return stays until the answer. [any thread, but one at a time] */
const char *millstream_authorization_stream(const millstream_authorization *question);
millstream_store_kind millstream_authorization_store(const millstream_authorization *question);

/* The value of a header field, whose name is given in lower case; NULL: it was not sent. */
const char *millstream_authorization_header(
    const millstream_authorization *question, const char *name);

/* The decoded value of a query field; NULL: it was not sent. */
const char *millstream_authorization_query(
    const millstream_authorization *question, const char *name);

/* ------------------------------------------------------------------------- Publishing and controlling */

/* Sends a message to whoever is connected to a stream of this instance now, and keeps it nowhere.
 * `message->id` counts for nothing. OK also if nobody is there. NOT_FOUND: the instance does not serve that
 * store. NOT_STARTED, STOPPED. [any thread] */
millstream_result millstream_publish(
    millstream *instance, millstream_store_kind store, const char *stream,
    const millstream_message *message);

/* Sends a message to one connection, whatever its `visible_to` and `exclude`. NOT_FOUND: there is none, or
 * `connected` was not called for it yet. NOT_STARTED, STOPPED. [any thread; there NOT_FOUND cannot be
 * said] */
millstream_result millstream_send(
    millstream *instance, millstream_connection_id id, const millstream_message *message);

/* The host's store has something new in this stream. OK also if nobody is there. NOT_FOUND: there is no such
 * store. NOT_STARTED, STOPPED. [any thread] */
millstream_result millstream_notify(millstream *instance, const char *stream);

/* Closes one connection, with all that it carries, soon: it is told by an event `millstream:closed` first, and
 * has seconds to take it. NOT_FOUND, NOT_STARTED, STOPPED. [any thread; there NOT_FOUND cannot be said] */
millstream_result millstream_close(millstream *instance, millstream_connection_id id);

/* Closes all connections of a stream, or of a member, in the same way; one that carries other streams, too,
 * ends for this stream alone. OK also if there are none. NOT_STARTED, STOPPED. [any thread] */
millstream_result millstream_close_stream(
    millstream *instance, millstream_store_kind store, const char *stream);
millstream_result millstream_close_member(millstream *instance, const char *member);

/* How many connections there are; 0 from where it cannot be told, such as a filter. [any thread, which waits
 * for the loop's turn] */
size_t millstream_count(millstream *instance);

/* How many connections a stream has; 0 from where it cannot be told. [any thread, which waits for the loop's
 * turn] */
size_t millstream_count_stream(
    millstream *instance, millstream_store_kind store, const char *stream);

/* Calls `each` for every connection until it returns false. It may close connections. */
millstream_result millstream_each(
    millstream *instance, bool (*each)(void *user, const millstream_connection *connection),
    void *user);

/* What an instance has done. Counters only grow. */
typedef struct millstream_statistics {
  size_t size;
  uint64_t connections; /* that there are now */
  uint64_t streams;     /* that there are now */
  uint64_t opened;
  uint64_t closed[9]; /* by millstream_close_reason */
  uint64_t sends;
  uint64_t bytes_sent;
  uint64_t messages;
  uint64_t replay_pages;
  uint64_t gaps;
  uint64_t resets;
  uint64_t dropped_ephemerals;
} millstream_statistics;
MILLSTREAM_INITIALIZER(millstream_statistics)

/* Fills in as much of `statistics` as its size says. [any thread, which waits for the loop's turn] */
millstream_result millstream_get_statistics(
    millstream *instance, millstream_statistics *statistics);

/* Signs a stream name with the first secret, for a page's URL; the signature does not expire.
 * INVALID_ARGUMENT: no secret, no stream name, or `size` is too small (the name's length * 2 + 128 is
 * enough). [any thread] */
millstream_result millstream_sign(
    millstream *instance, const char *stream, char *signed_name, size_t size);

#ifdef __cplusplus
}
#endif

#endif
