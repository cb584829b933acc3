/* System calls that Swift cannot import: they need _GNU_SOURCE, or are variadic. */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC: one call, and no moment in which the
 * descriptor blocks or could leak into a child. Returns the descriptor, or -1 with errno. */
int ms_accept(int listener_fd);

/* SIOCOUTQ: the bytes that were sent and that the other side has not acknowledged (of a Unix
 * socket: the memory that they take until they are read). 0 where that cannot be had. */
long ms_held_bytes(int fd);

/* TCP_INFO: how much of what was sent to this socket its other side has acknowledged, over its whole life;
 * -1 where that cannot be had, as of a Unix socket. */
long ms_acknowledged_bytes(int fd);

/* write(2) to a pipe, whose reader may have gone, without SIGPIPE. */
ssize_t ms_write_pipe(int fd, const void *bytes, size_t count);

/* Whether the pipe whose writing end this is still has a reader. */
bool ms_pipe_has_reader(int fd);

/* What a client can be served through. */
enum ms_descriptor_kind { MS_NOT_A_CLIENT, MS_SOCKET, MS_PIPE };

/* A connected stream socket, or the writing end of a pipe, or neither. */
enum ms_descriptor_kind ms_descriptor_kind(int fd);

/* Whether it is a stream socket that listens. */
bool ms_is_listening(int fd);

/* Sets O_NONBLOCK and FD_CLOEXEC; false, with errno, if that is refused. */
bool ms_make_nonblocking(int fd);

/* The epoll of this process that watches `watched`; -1 if none does, or /proc does not say. libev does not
 * tell the descriptor that its loop waits on. */
int ms_epoll_watching(int watched);

/* A descriptor that is readable when `inner` (another epoll's) or `timer` is; -1 with errno. */
int ms_poll_both(int inner, int timer);

/* A timer's descriptor; -1 with errno. */
int ms_timer_open(void);

/* Makes the timer's descriptor readable after so long; 0: at once. It stops being readable. */
void ms_timer_set(int timer, long after_ms);

/* How many processors this process may run on; 1 if that cannot be told. */
int ms_processor_count(void);
