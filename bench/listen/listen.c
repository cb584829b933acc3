/* A bare LISTEN: what a notification of Postgres must do to reach the ceiling, and nothing else.
 *
 *   listen CONNINFO   LISTENs on the channel `ceiling`; each payload becomes a line on stdout
 *
 * It says "listening" on stderr when it does, and ends by a signal, or when the session ends.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what) {
  fprintf(stderr, "listen: %s\n", what);
  exit(1);
}

/* A line at a time in one write: the ceiling sends it at once. */
static void print_line(const char *payload) {
  char line[8192];
  int length = snprintf(line, sizeof line, "%s\n", payload);
  if (length >= (int)sizeof line || write(STDOUT_FILENO, line, (size_t)length) != length)
    die("write");
}

static void print_notifications(PGconn *session) {
  for (PGnotify *notification; (notification = PQnotifies(session)); PQfreemem(notification))
    print_line(notification->extra);
}

int main(int count, char **arguments) {
  if (count != 2) die("usage: listen CONNINFO");
  PGconn *session = PQconnectdb(arguments[1]);
  if (PQstatus(session) != CONNECTION_OK) die(PQerrorMessage(session));
  PGresult *result = PQexec(session, "LISTEN ceiling");
  if (PQresultStatus(result) != PGRES_COMMAND_OK) die(PQerrorMessage(session));
  PQclear(result);
  fprintf(stderr, "listening\n");
  for (;;) {
    struct pollfd readable = {.fd = PQsocket(session), .events = POLLIN};
    if (poll(&readable, 1, -1) < 0) die("poll");
    if (!PQconsumeInput(session)) die(PQerrorMessage(session));
    print_notifications(session);
  }
}
