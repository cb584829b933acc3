/* What the two libev examples share and what has nothing to do with Millstream: clients whose requests
 * are being read, on the host's own loop. */
#ifndef EXAMPLES_REQUESTS_H
#define EXAMPLES_REQUESTS_H

#include <errno.h>
#include <ev.h>
#include <stdbool.h>

#include "listening.h"

struct requests;

/* A client that has not said enough yet. */
struct client {
  ev_io readable; /* first, so that a pointer to it is a pointer to the client */
  ev_timer patience;
  struct requests *requests;
  struct client *next, *previous;
  size_t length;
  char received[4096];
};

/* The port and its clients. */
struct requests {
  ev_io acceptable;
  struct client *first;
  /* Called when bytes have come. True: it has taken the descriptor, or closed it. False: it needs more. */
  bool (*received)(struct requests *requests, int descriptor, const char *bytes, size_t length);
};

/* Forgets a client, whose descriptor belongs to somebody else now. */
static inline void client_forget(struct ev_loop *loop, struct client *client) {
  ev_io_stop(loop, &client->readable);
  ev_timer_stop(loop, &client->patience);
  if (client->previous != NULL) client->previous->next = client->next;
  else client->requests->first = client->next;
  if (client->next != NULL) client->next->previous = client->previous;
  free(client);
}

static inline void client_close(struct ev_loop *loop, struct client *client) {
  close(client->readable.fd);
  client_forget(loop, client);
}

static inline void client_too_slow(struct ev_loop *loop, ev_timer *timer, int events) {
  (void)events;
  client_close(loop, timer->data);
}

static inline void client_readable(struct ev_loop *loop, ev_io *io, int events) {
  struct client *client = (struct client *)io;
  ssize_t count = recv(
      io->fd, client->received + client->length, sizeof client->received - client->length, 0);
  (void)events;
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    client_close(loop, client);
    return;
  }
  client->length += (size_t)count;
  /* Before the descriptor goes to another owner on this loop, nobody else may watch it. */
  ev_io_stop(loop, io);
  if (client->requests->received(client->requests, io->fd, client->received, client->length)) {
    client_forget(loop, client);
  } else if (client->length == sizeof client->received) {
    client_close(loop, client);
  } else {
    ev_io_start(loop, io);
  }
}

static inline void requests_acceptable(struct ev_loop *loop, ev_io *io, int events) {
  struct requests *requests = (struct requests *)io;
  struct client *client;
  int descriptor = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  (void)events;
  if (descriptor < 0) return;
  client = calloc(1, sizeof *client);
  if (client == NULL) {
    close(descriptor);
    return;
  }
  client->requests = requests;
  client->next = requests->first;
  if (client->next != NULL) client->next->previous = client;
  requests->first = client;
  ev_io_init(&client->readable, client_readable, descriptor, EV_READ);
  ev_timer_init(&client->patience, client_too_slow, 10., 0.);
  client->patience.data = client;
  ev_io_start(loop, &client->readable);
  ev_timer_start(loop, &client->patience);
}

/* Listens on `port`; `requests->received` has been set. */
static inline void requests_start(
    struct requests *requests, struct ev_loop *loop, const char *port) {
  requests->first = NULL;
  ev_io_init(
      &requests->acceptable, requests_acceptable,
      listening_socket(port, SOCK_NONBLOCK | SOCK_CLOEXEC), EV_READ);
  ev_io_start(loop, &requests->acceptable);
}

static inline void requests_stop(struct requests *requests, struct ev_loop *loop) {
  ev_io_stop(loop, &requests->acceptable);
  close(requests->acceptable.fd);
  while (requests->first != NULL) client_close(loop, requests->first);
}

/* Sends a response that fits a socket's empty buffer, and closes. */
static inline void respond(int descriptor, const char *status, const char *type, const char *body) {
  char response[4096];
  int length = snprintf(
      response, sizeof response,
      "HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n%s",
      status, type, strlen(body), body);
  if (send(descriptor, response, (size_t)length, MSG_NOSIGNAL) != length) perror("send");
  shutdown(descriptor, SHUT_WR);
  close(descriptor);
}

#endif
