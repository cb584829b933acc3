/* A host that takes its clients' word for who they are: `member`, `metadata` and `expires_at` of the query are
 * what their context has. Prints with which reason each has gone.
 *
 *     members DATABASE NAME=VALUE... */
#define _GNU_SOURCE
#include <millstream.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void authorize(void *user, millstream_authorization *question) {
  millstream_context context = millstream_context_init();
  const char *end = millstream_authorization_query(question, "expires_at");
  (void)user;
  context.member = millstream_authorization_query(question, "member");
  context.metadata = millstream_authorization_query(question, "metadata");
  if (end != NULL) context.expires_at = atoll(end);
  if (millstream_authorize(question, MILLSTREAM_ALLOW, &context) == MILLSTREAM_OK) return;
  millstream_authorize(question, MILLSTREAM_FAULT, NULL);
}

static void disconnected(
    void *user, const millstream_connection *connection, millstream_close_reason reason) {
  (void)user, (void)connection;
  printf("gone %d\n", (int)reason);
  fflush(stdout);
}

static void log_line(void *user, millstream_log_level level, const char *line) {
  (void)user, (void)level;
  fprintf(stderr, "%s\n", line);
}

static const char *const any_name[] = {"*"};
static const char *presence_pattern;

static void set(millstream_options *options, const char *name, const char *value) {
  if (strcmp(name, "presence") == 0) {
    presence_pattern = value;
    options->presence_patterns = &presence_pattern;
    options->presence_pattern_count = 1;
  }
  if (strcmp(name, "presence_grace_ms") == 0) options->presence_grace_ms = atoll(value);
  if (strcmp(name, "hole_wait_ms") == 0) options->hole_wait_ms = atoll(value);
  if (strcmp(name, "safety_poll_ms") == 0) options->safety_poll_ms = atoll(value);
  if (strcmp(name, "write_deadline_ms") == 0) options->write_deadline_ms = atoll(value);
  if (strcmp(name, "minimum_rate") == 0) options->minimum_rate_bytes_per_second = atoll(value);
  if (strcmp(name, "statistics") == 0) options->writes_statistics = true;
}

int main(int count, char **arguments) {
  millstream_options options = millstream_options_init();
  millstream *streamer;
  char text[256];
  sigset_t signals;
  int number;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);

  options.loop_kind = MILLSTREAM_LOOP_THREAD;
  options.database = count > 1 ? arguments[1] : NULL;
  options.public_patterns = any_name;
  options.public_pattern_count = 1;
  options.authorize = authorize;
  options.disconnected = disconnected;
  options.log = log_line;
  options.log_level = MILLSTREAM_LOG_INFO;
  for (int index = 2; index < count; index++) {
    char *value = strchr(arguments[index], '=');
    if (value == NULL) return 64;
    *value = 0;
    set(&options, arguments[index], value + 1);
  }
  if (millstream_create(&options, &streamer, text, sizeof text) != MILLSTREAM_OK) {
    fprintf(stderr, "%s\n", text);
    return 1;
  }
  if (millstream_start(streamer) != MILLSTREAM_OK ||
      millstream_listen(streamer, "127.0.0.1:0", text, sizeof text) != MILLSTREAM_OK)
    return 1;
  printf("listening on http://%s\n", text);
  fflush(stdout);
  sigwait(&signals, &number);
  millstream_shutdown(streamer, 0, NULL, NULL);
  millstream_join(streamer);
  millstream_destroy(streamer);
  return 0;
}
