"""What a process and the kernel hold, read from /proc, in bytes."""

import re

# The caches that a TCP connection, its descriptor and its place in epoll live in.
SOCKET_CACHES = ("TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi", "eventpoll_pwq")
PAGE_BYTES = 4096


def process_memory(pid):
    """RSS, PSS and private memory. Anonymous memory is what malloc and stacks hold."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        fields = dict(re.findall(r"^(\w+): +(\d+) kB", file.read(), re.MULTILINE))
    kib = {name: int(value) for name, value in fields.items()}
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    figures = {"rss": kib["Rss"], "pss": kib["Pss"], "private": private, "anon": kib["Anonymous"]}
    return {name: value * 1024 for name, value in figures.items()}


def kernel_memory():
    """Socket caches and socket buffers of the whole machine; what may not be read is left out."""
    figures = {"socket_buffers": _socket_buffers()}
    slabs = _socket_slabs()
    return figures | ({"socket_slabs": slabs} if slabs is not None else {})


def _socket_slabs():
    """Objects in use, not the slabs around them: those hold what earlier sockets left."""
    try:
        with open("/proc/slabinfo") as file:
            rows = [line.split() for line in file if line.split()[0] in SOCKET_CACHES]
    except PermissionError:
        return None
    return sum(int(row[1]) * int(row[3]) for row in rows)


def _socket_buffers():
    with open("/proc/net/sockstat") as file:
        return int(re.search(r"^TCP: .* mem (\d+)", file.read(), re.MULTILINE)[1]) * PAGE_BYTES
