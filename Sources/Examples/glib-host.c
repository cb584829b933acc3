/* Millstream in a GLib main loop: the descriptor is a source like any other.
 *
 *     cc -std=c99 glib-host.c -o glib-host -lmillstream $(pkg-config --cflags --libs glib-2.0)
 *     ./glib-host postgresql://localhost/app 8080 */
#define _GNU_SOURCE
#include <glib-unix.h>
#include <millstream.h>

#include "listening.h"

static GMainLoop *main_loop;
static millstream *streamer;
static guint port_source;

static gboolean millstream_ready(gint descriptor, GIOCondition condition, gpointer user) {
  (void)descriptor, (void)condition, (void)user;
  millstream_run(streamer);
  return G_SOURCE_CONTINUE;
}

static gboolean client_came(gint port, GIOCondition condition, gpointer user) {
  int client = accept4(port, NULL, NULL, SOCK_CLOEXEC);
  (void)condition, (void)user;
  if (client >= 0 && millstream_accept(streamer, client, NULL, 0) != MILLSTREAM_OK) close(client);
  return G_SOURCE_CONTINUE;
}

static void stopped(void *user) {
  (void)user;
  g_main_loop_quit(main_loop);
}

/* SIGINT or SIGTERM. The main loop goes on until every client has been told. */
static gboolean signal_came(gpointer user) {
  (void)user;
  g_source_remove(port_source);
  millstream_shutdown(streamer, 0, stopped, NULL);
  return G_SOURCE_REMOVE;
}

int main(int count, char **arguments) {
  static const char *const public_patterns[] = {"demo:*"};
  millstream_options options = millstream_options_init();
  guint run_source;
  char error[256];
  int port;
  if (count < 2) fail("usage", "glib-host DATABASE [PORT]");

  options.loop_kind = MILLSTREAM_LOOP_POLLED;
  options.database = arguments[1];
  options.stores = MILLSTREAM_NATIVE;
  options.public_patterns = public_patterns;
  options.public_pattern_count = 1;
  if (millstream_create(&options, &streamer, error, sizeof error) != MILLSTREAM_OK)
    fail("millstream_create", error);
  if (millstream_start(streamer) != MILLSTREAM_OK) fail("millstream_start", "refused");

  main_loop = g_main_loop_new(NULL, FALSE);
  port = listening_socket(arguments[2], SOCK_NONBLOCK | SOCK_CLOEXEC);
  port_source = g_unix_fd_add(port, G_IO_IN, client_came, NULL);
  run_source = g_unix_fd_add(millstream_descriptor(streamer), G_IO_IN, millstream_ready, NULL);
  g_unix_signal_add(SIGINT, signal_came, NULL);
  g_unix_signal_add(SIGTERM, signal_came, NULL);
  g_main_loop_run(main_loop);

  /* The source first: the descriptor goes with the instance. */
  g_source_remove(run_source);
  millstream_destroy(streamer);
  g_main_loop_unref(main_loop);
  close(port);
  return 0;
}
