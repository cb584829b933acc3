/* The ceiling: what the kernel must do for a fan-out, and nothing else.
 *
 * A plain epoll loop on one thread. It accepts, reads a request up to its empty line, answers with
 * the bytes that millstream answers with, and for each line on stdin does one send(2) of the same
 * frame to every connection. No server that sends each frame by itself can deliver faster on this
 * kernel; how near one comes is the ratio that the benchmark prints.
 *
 *   ceiling [PORT [FIRST COUNT SIZE]]   (0: any) says on stderr: ceiling ready listen=127.0.0.1:PORT
 *
 * With FIRST, COUNT and SIZE, the answer also holds COUNT frames with payloads of SIZE bytes and ids
 * from FIRST on: what a server has to send to a client that comes back so far behind.
 *
 * It ends at the end of stdin, or by a signal.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 1 << 20, BATCH = 512, LINE_SIZE = 1 << 16, BACKLOG = 4096 };

static const char head[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    "cache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
    "connection: keep-alive\r\n\r\n"
    "retry: 2000\n\n: pgbus stream open since_id=0 stream=bench:0\n\n"
    "event: pgbus:connected\ndata: {\"connectionId\":\"9f86d081884c7d65\"}\n\n";

/* The head, and the frames that follow it. */
static const char *answer = head;
static size_t answer_length = sizeof head - 1;

static int epoll_fd;
/* All connections, without holes, so that a fan-out is one walk; and where each one stands. */
static int members[MAX_FD];
static int member_count;
static int place[MAX_FD];
/* How much of the request's closing CRLFCRLF a connection has sent; 4: it is a member. */
static unsigned char closing[MAX_FD];
static char line[LINE_SIZE];
static size_t line_length;
static long long last_id;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void join(int fd) {
  place[fd] = member_count;
  members[member_count++] = fd;
}

static void leave(int fd) {
  if (closing[fd] == 4) {
    int last = members[--member_count];
    members[place[fd]] = last;
    place[last] = place[fd];
  }
  close(fd);
}

/* A full socket buffer is waited for: what is measured must not lose anything. */
static void send_all(int fd, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0) {
      struct pollfd writable = {.fd = fd, .events = POLLOUT};
      if (errno != EAGAIN || poll(&writable, 1, 5000) <= 0) return;
      continue;
    }
    bytes += sent;
    count -= (size_t)sent;
  }
}

static int write_frame(char *frame, size_t room, const char *data) {
  return snprintf(frame, room, "id: %lld-%08x\nevent: turbo-stream\ndata: %s\n\n", ++last_id,
                  0x5eedu, data);
}

static void prepare_answer(long long first, int count, int size) {
  size_t room = sizeof head + (size_t)count * (size_t)(size + 128);
  char *bytes = malloc(room), *data = malloc((size_t)size + 1);
  if (!bytes || !data) die("malloc");
  memset(data, 'x', (size_t)size);
  data[size] = 0;
  memcpy(bytes, head, sizeof head - 1);
  last_id = first - 1;
  for (int i = 0; i < count; i++)
    answer_length += (size_t)write_frame(bytes + answer_length, room - answer_length, data);
  answer = bytes;
  free(data);
}

static void fan_out(const char *data) {
  static char frame[LINE_SIZE + 128];
  int size = write_frame(frame, sizeof frame, data);
  for (int i = 0; i < member_count; i++) send_all(members[i], frame, (size_t)size);
}

static void read_lines(void) {
  ssize_t count = read(STDIN_FILENO, line + line_length, sizeof line - 1 - line_length);
  if (count <= 0) exit(0);
  line_length += (size_t)count;
  line[line_length] = 0;
  char *start = line;
  for (char *end; (end = strchr(start, '\n')); start = end + 1) {
    *end = 0;
    fan_out(start);
  }
  line_length -= (size_t)(start - line);
  memmove(line, start, line_length);
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= MAX_FD) die("too many descriptors");
    closing[fd] = 0;
    watch(fd);
  }
}

static void read_request(int fd) {
  static const char end[] = "\r\n\r\n";
  char bytes[4096];
  ssize_t count = recv(fd, bytes, sizeof bytes, 0);
  if (count == 0 || (count < 0 && errno != EAGAIN)) {
    leave(fd);
    return;
  }
  for (ssize_t i = 0; i < count && closing[fd] < 4; i++) {
    closing[fd] = bytes[i] == end[closing[fd]] ? closing[fd] + 1 : bytes[i] == '\r';
    if (closing[fd] < 4) continue;
    join(fd);
    send_all(fd, answer, answer_length);
  }
}

static int listen_on(int port) {
  int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) die("socket");
  if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0) die("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) die("getsockname");
  fprintf(stderr, "ceiling ready listen=127.0.0.1:%d\n", ntohs(address.sin_port));
  return fd;
}

static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("setrlimit");
}

int main(int count, char **arguments) {
  struct epoll_event events[BATCH];
  raise_descriptor_limit();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on(count > 1 ? atoi(arguments[1]) : 0);
  if (count > 4) prepare_answer(atoll(arguments[2]), atoi(arguments[3]), atoi(arguments[4]));
  watch(listener);
  watch(STDIN_FILENO);
  for (;;) {
    int ready = epoll_wait(epoll_fd, events, BATCH, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) accept_all(listener);
      else if (fd == STDIN_FILENO) read_lines();
      else read_request(fd);
    }
  }
}
