/* System calls that Swift cannot import: they need _GNU_SOURCE, or are variadic. */
#pragma once
#include <sys/socket.h>

/* accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC: one call, and no moment in which the
 * descriptor blocks or could leak into a child. Returns the descriptor, or -1 with errno. */
int ms_accept(int listener_fd);

/* SIOCOUTQ: the bytes that were sent and that the other side has not acknowledged (of a Unix
 * socket: the memory that they take until they are read). 0 where that cannot be had. */
long ms_held_bytes(int fd);

/* How many processors this process may run on; 1 if that cannot be told. */
int ms_processor_count(void);
