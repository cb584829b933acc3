/* What the examples share and what has nothing to do with Millstream: a TCP port on the loopback. */
#ifndef EXAMPLES_LISTENING_H
#define EXAMPLES_LISTENING_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Says what failed, and ends the program: at its beginning there is nothing to save. */
static inline void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

/* Listens on 127.0.0.1, and prints where: `port` NULL or "0" is any free one. */
static inline int listening_socket(const char *port, int flags) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int yes = 1;
  int descriptor = socket(AF_INET, SOCK_STREAM | flags, 0);
  if (descriptor < 0) fail("socket", "no descriptor");
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((unsigned short)(port == NULL ? 0 : atoi(port)));
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail("bind", "port is taken");
  if (listen(descriptor, 1024) < 0) fail("listen", "not possible");
  if (getsockname(descriptor, (struct sockaddr *)&address, &length) < 0) fail("getsockname", "failed");
  printf("listening on http://127.0.0.1:%d/\n", ntohs(address.sin_port));
  fflush(stdout);
  return descriptor;
}

#endif
