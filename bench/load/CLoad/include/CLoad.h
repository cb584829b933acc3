/* System calls of the load client that Swift cannot import: epoll is not in Swift's Glibc module,
 * control messages are macros, and a signal handler has to be C. */
#pragma once
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

/* Opens a nonblocking TCP socket, binds it to source_ip when that is not 0 (both in host byte
 * order), asks for the kernel's time of arrival when wants_arrival is not 0, and begins to connect.
 * Returns the descriptor, which the caller owns, or -1 with errno. */
int load_connect(uint32_t source_ip, uint32_t ip, uint16_t port, int wants_arrival);

/* The pending error of a socket whose connect has ended; 0 when it is connected. */
int load_socket_error(int fd);

/* recv(2) that also says when the last byte came to this machine's network stack: *arrived_ns on
 * CLOCK_REALTIME, 0 when the kernel did not say. Returns as recv(2) does. */
ssize_t load_receive(int fd, void *buffer, size_t size, int64_t *arrived_ns);

/* Begins to catch SIGINT and SIGTERM. */
void load_catch_signals(void);

/* Whether one of them has come since. */
int load_stop_requested(void);
