"""Many clients read by one thread, as they come."""

import select
import time

from .client import receive
from .waiting import LIMIT_SECONDS


class Crowd:
    """Clients that are all served: no one waits for another's bytes."""

    def __init__(self, clients):
        self.clients = list(clients)
        self._readable = select.epoll()
        self._by_fd = {client.socket.fileno(): client for client in self.clients}
        for fd in self._by_fd:
            self._readable.register(fd, select.EPOLLIN)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes every client."""
        self._readable.close()
        for client in self.clients:
            client.close()

    def wait(self, condition, what, limit=LIMIT_SECONDS):
        """Reads until `condition(client)` holds for every client."""
        deadline = time.monotonic() + limit
        waiting = [client for client in self.clients if not condition(client)]
        while waiting:
            if time.monotonic() > deadline:
                raise AssertionError(self._complaint(waiting, what, limit))
            touched = self._read()
            waiting = [c for c in waiting if c not in touched or not condition(c)]

    def has(self, condition):
        """Whether `condition(client)` holds for every client, after what has come by now."""
        while self._read(limit=0):
            pass
        return all(condition(client) for client in self.clients)

    def connected(self):
        """Waits until the server has said to every client that it has it."""
        self.wait(
            lambda client: any(b.event == "pgbus:connected" for b in client.stream.blocks),
            "the connected frame",
        )
        return self

    def broadcasts(self, count, limit=LIMIT_SECONDS):
        """Waits for `count` messages at each client, and takes them out: one list for each."""
        self.wait(lambda client: len(_broadcasts(client)) >= count, f"{count} messages", limit)
        return [self.take(client) for client in self.clients]

    @staticmethod
    def take(client):
        """The messages that have come to `client`; its blocks begin anew."""
        taken = _broadcasts(client)
        client.stream.blocks.clear()
        return taken

    def _read(self, limit=0.1):
        touched = set()
        for fd, _ in self._readable.poll(limit):
            client = self._by_fd[fd]
            client.stream.feed(receive(client.socket))
            touched.add(client)
            if client.stream.is_over:
                self._readable.unregister(fd)
        return touched

    def _complaint(self, waiting, what, limit):
        first = waiting[0].stream
        last = first.blocks[-1].raw if first.blocks else None
        return (
            f"not within {limit:g} s: {what} at {len(waiting)} of {len(self.clients)} clients;"
            f" the first of them has {len(first.blocks)} blocks, the last {last!r},"
            f" and is {'closed' if first.is_over else 'open'}"
        )


def _broadcasts(client):
    return [block for block in client.stream.blocks if block.is_broadcast]
