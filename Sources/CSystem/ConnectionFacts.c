#include "CSystem.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>

/* linux/tcp.h and not netinet/tcp.h: glibc's tcp_info ends before what we ask for. */
long ms_acknowledged_bytes(int fd) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return -1;
  if (size < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) return -1;
  return (long)info.tcpi_bytes_acked;
}
